#include "shared_memory.h"

namespace cuda_batchnorm::emulator {

void SharedMemory::reset(uint32_t bytes) {
  bytes_ = bytes;
  recordBytes_ = kWordBytes;
  const uint32_t words = (bytes + kWordBytes - 1) / kWordBytes;
  if (words_.size() >= words) return;
  memory_.resize((words + 1) / 2);
  words_.resize(words);
}

namespace {

SharedConflict conflictWithWriter(const SharedAccess& written) {
  return {written.time == kUnderWay ? SharedConflict::Kind::UnderWay : SharedConflict::Kind::Race, written.thread, true};
}

}  // namespace

SharedConflict SharedMemory::read(Record& record, const Accessor& accessor) {
  if (!record.written.precedes(accessor)) return conflictWithWriter(record.written);
  SharedAccess& first = record.read[0];
  SharedAccess& second = record.read[1];
  const SharedAccess now = {accessor.now, accessor.thread};
  if (first.precedes(accessor)) {
    first = now;
  } else if (second.precedes(accessor) || !first.thread.sameWarp(accessor.thread)) {
    second = now;
  }
  if (record.written.time < accessor.beginning) return {SharedConflict::Kind::Uninitialised, {0}, false};
  return {};
}

SharedConflict SharedMemory::write(Record& record, const Accessor& accessor) {
  if (!record.written.precedes(accessor)) return conflictWithWriter(record.written);
  for (const SharedAccess& read : record.read) {
    if (!read.precedes(accessor)) return {SharedConflict::Kind::Race, read.thread, false};
  }
  record.written = {accessor.now, accessor.thread};
  return {};
}

// From words to bytes: what was known of a word holds for each of its bytes.
void SharedMemory::split() {
  recordBytes_ = 1;
  single_.resize(words_.size() * kWordBytes);
  for (size_t i = 0; i < single_.size(); ++i) single_[i] = words_[i / kWordBytes];
}

template <class Check>
SharedConflict SharedMemory::each(uint32_t offset, uint32_t bytes, const Check& check) {
  if ((offset | bytes) % recordBytes_ != 0) split();
  Record* records = recordBytes_ == 1 ? single_.data() : words_.data();
  for (uint32_t i = offset / recordBytes_; i < (offset + bytes) / recordBytes_; ++i) {
    if (const SharedConflict conflict = check(records[i])) return conflict;
  }
  return {};
}

SharedConflict SharedMemory::read(uint32_t offset, uint32_t bytes, const Accessor& accessor) {
  return each(offset, bytes, [&](Record& record) { return read(record, accessor); });
}

SharedConflict SharedMemory::write(uint32_t offset, uint32_t bytes, const Accessor& accessor) {
  return each(offset, bytes, [&](Record& record) { return write(record, accessor); });
}

SharedConflict SharedMemory::beginCopy(uint32_t offset, uint32_t bytes, const Accessor& accessor) {
  Accessor unknownTime = accessor;
  unknownTime.now = kUnderWay;
  return write(offset, bytes, unknownTime);
}

void SharedMemory::endCopy(uint32_t offset, uint32_t bytes, const Accessor& accessor) {
  each(offset, bytes, [&](Record& record) {
    record.written = {accessor.now, accessor.thread};
    return SharedConflict{};
  });
}

}  // namespace cuda_batchnorm::emulator
