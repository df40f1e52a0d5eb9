// How a block walks over its part of a tensor whose channels come last: each thread keeps V columns and goes down the rows.
#pragma once

#include "partials.cuh"
#include "slots.cuh"

namespace cuda_batchnorm::cuda {

template <int V>
class ChunkOfColumns {
 public:
  DEVICE explicit ChunkOfColumns(const ColumnsCut& cut) : cut_(cut), chunk_(blockIndex() / cut.tiles), tile_(blockIndex() % cut.tiles) {
    x_ = threadIndex() % cut.threadsX;
    y_ = threadIndex() / cut.threadsX;
    column_ = int64_t{tile_} * tileColumns() + x_ * V;
    firstRow_ = chunk_ * cut.rowsPerChunk;
    const int64_t left = cut.rows - firstRow_;
    rows_ = static_cast<uint32_t>(left < cut.rowsPerChunk ? left : cut.rowsPerChunk);
  }

  DEVICE uint32_t chunk() const { return chunk_; }
  DEVICE uint32_t tile() const { return tile_; }
  DEVICE uint32_t x() const { return x_; }
  DEVICE uint32_t y() const { return y_; }
  DEVICE uint32_t rows() const { return rows_; }
  // Whether this thread has columns; the others only keep it company at barriers.
  DEVICE bool active() const { return y_ < cut_.threadsY && column_ < cut_.width; }

  // The thread's first column in an array [threadsY, tileColumns].
  DEVICE uint32_t place() const { return y_ * tileColumns() + x_ * V; }
  DEVICE uint32_t tileColumns() const { return cut_.threadsX * V; }
  DEVICE uint32_t channel(int e) const { return static_cast<uint32_t>((column_ + e) % cut_.channels); }
  // A tile has all columns of its channels: it is as wide as the rows where they are folded.
  DEVICE uint32_t firstChannel() const { return tile_ * tileColumns(); }
  DEVICE uint32_t channels() const {
    const uint32_t left = cut_.channels - firstChannel();
    return left < tileColumns() ? left : tileColumns();
  }

  // The thread's columns in a row of the chunk; empty beyond the chunk, cut short where the tensor ends.
  DEVICE Slot slot(uint32_t row) const {
    const int64_t offset = (firstRow_ + row) * cut_.width + column_;
    const int64_t left = row < rows_ && active() ? cut_.size - offset : 0;
    return {offset, 0, static_cast<int32_t>(left < V ? left : V)};
  }

 private:
  const ColumnsCut& cut_;
  uint32_t chunk_, tile_, x_, y_, rows_;
  int64_t column_, firstRow_;
};

// Adds up one value per thread row for each of `count` neighbouring entries: entry i of row 0 ends with the total of all rows.
// `values` is [rows, count]; a thread (i, row) calls it with its own place, and all threads of the block take part.
template <class T, class Add>
DEVICE void addRows(SharedArray<T> values, uint32_t rows, uint32_t count, uint32_t row, uint32_t begin, uint32_t end, Add add) {
  while (rows > 1) {
    const uint32_t half = (rows + 1) / 2;
    syncBlock();
    if (row < rows - half) {
      for (uint32_t i = begin; i < end; ++i) {
        values.store(row * count + i, add(values.load(row * count + i), values.load((row + half) * count + i)));
      }
    }
    rows = half;
  }
  syncBlock();
}

// Brings what each active thread left of its V columns at its place() together into what the block knows of its channels: entries
// 0 .. channels() - 1.
template <int V, class T, class Add>
DEVICE void addColumns(const ColumnsCut& cut, const ChunkOfColumns<V>& chunk, SharedArray<T> values, Add add) {
  const uint32_t columns = chunk.tileColumns();
  const uint32_t row = chunk.active() ? chunk.y() : cut.threadsY;
  addRows(values, cut.threadsY, columns, row, chunk.x() * V, (chunk.x() + 1) * V, add);
  if (cut.fold == 1) return;
  for (uint32_t c = threadIndex(); c < cut.channels; c += blockThreads()) {
    T total = values.load(c);
    for (uint32_t f = 1; f < cut.fold; ++f) total = add(total, values.load(c + f * cut.channels));
    values.store(c, total);
  }
  syncBlock();
}

// Whether this is the last block of its tile to arrive; then entries 0 .. channels() - 1 hold what all chunks have together.
template <int V, class T, class Add>
DEVICE bool mergeChunksOfColumns(const ColumnsCut& cut, const Merge& merge, const ChunkOfColumns<V>& chunk, SharedArray<T> values,
                                 Add add) {
  if (cut.chunks == 1) return true;
  const uint32_t channels = chunk.channels();
  auto* const partials = static_cast<T*>(merge.partials) + chunk.firstChannel();
  const auto place = [&](uint32_t i, uint32_t c) { return partials + int64_t{i} * cut.channels + c; };
  for (uint32_t c = threadIndex(); c < channels; c += blockThreads()) storePartial(place(chunk.chunk(), c), values.load(c));
  syncBlock();
  if (!lastToArrive(merge.counters + chunk.tile(), cut.chunks)) return false;

  // Few channels: several threads for each.
  const uint32_t rows = channels < blockThreads() ? blockThreads() / channels : 1;
  const uint32_t row = rows == 1 ? 0 : threadIndex() / channels;
  const uint32_t step = rows == 1 ? blockThreads() : channels;
  const uint32_t begin = rows == 1 ? threadIndex() : threadIndex() % channels;
  if (row < rows) {
    for (uint32_t c = begin; c < channels; c += step) {
      T total = {};
      for (uint32_t i = row; i < cut.chunks; i += rows) total = add(total, loadPartial(place(i, c)));
      values.store(row * channels + c, total);
    }
  }
  addRows(values, rows, channels, row, begin, begin + 1, add);
  return true;
}

}  // namespace cuda_batchnorm::cuda
