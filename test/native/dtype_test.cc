// Every bit pattern of the half types, and every place where rounding to them turns, against arithmetic done in double.
#include "../../native/core/dtype.h"

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "../../native/cpu/batch_norm.h"
#include "check.h"
#include "instruction_set.h"

namespace {

using namespace cuda_batchnorm;

constexpr uint32_t kPatterns = 65536;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

struct Format {
  DType dtype;
  int exponentBits;
  int mantissaBits;
};

constexpr Format kFloat16{DType::Float16, 5, 10};
constexpr Format kBFloat16{DType::BFloat16, 8, 7};

// What a pattern means, by the definition of the format.
double valueOf(const Format& format, uint32_t bits) {
  const uint32_t mantissa = bits & ((1u << format.mantissaBits) - 1);
  const uint32_t most = (1u << format.exponentBits) - 1;
  const uint32_t exponent = (bits >> format.mantissaBits) & most;
  const int bias = static_cast<int>(most >> 1);
  double magnitude = 0;
  if (exponent == most) {
    magnitude = mantissa == 0 ? kInfinity : std::numeric_limits<double>::quiet_NaN();
  } else if (exponent == 0) {
    magnitude = std::ldexp(mantissa, 1 - bias - format.mantissaBits);
  } else {
    magnitude = std::ldexp(mantissa + (1u << format.mantissaBits), static_cast<int>(exponent) - bias - format.mantissaBits);
  }
  return bits & 0x8000u ? -magnitude : magnitude;
}

uint32_t infinityBits(const Format& format) { return ((1u << format.exponentBits) - 1) << format.mantissaBits; }

float widened(const Format& format, uint32_t bits) {
  const auto pattern = static_cast<uint16_t>(bits);
  return format.dtype == DType::Float16 ? toFloat(Float16{pattern}) : toFloat(BFloat16{pattern});
}

uint32_t rounded(const Format& format, float value) {
  return format.dtype == DType::Float16 ? toFloat16(value).bits : toBFloat16(value).bits;
}

// Converts a whole vector with the kernels.
template <typename To, typename From>
std::vector<To> converted(const std::vector<From>& source, DType from, DType to) {
  cpu::ThreadPool threads(2);
  std::vector<To> destination(source.size());
  cpu::convert(threads, destination.data(), to, source.data(), from, static_cast<int64_t>(source.size()));
  return destination;
}

bool same(double left, double right) {
  if (std::isnan(left) || std::isnan(right)) return std::isnan(left) && std::isnan(right);
  return left == right && std::signbit(left) == std::signbit(right);
}

void widensEveryPattern(const Format& format) {
  std::vector<uint16_t> patterns(kPatterns);
  for (uint32_t bits = 0; bits < kPatterns; ++bits) patterns[bits] = static_cast<uint16_t>(bits);
  const std::vector<float> floats = converted<float>(patterns, format.dtype, DType::Float32);
  const std::vector<double> doubles = converted<double>(patterns, format.dtype, DType::Float64);
  const std::vector<uint16_t> back = converted<uint16_t>(floats, DType::Float32, format.dtype);
  const std::vector<uint16_t> backFromDouble = converted<uint16_t>(doubles, DType::Float64, format.dtype);
  for (uint32_t bits = 0; bits < kPatterns; ++bits) {
    const double value = valueOf(format, bits);
    CHECK(same(widened(format, bits), value));
    CHECK(same(floats[bits], value));
    CHECK(same(doubles[bits], value));
    if (std::isnan(value)) {
      CHECK(std::isnan(valueOf(format, rounded(format, widened(format, bits)))));
      CHECK(std::isnan(valueOf(format, back[bits])) && std::isnan(valueOf(format, backFromDouble[bits])));
    } else {
      CHECK(rounded(format, widened(format, bits)) == bits);
      CHECK(back[bits] == bits && backFromDouble[bits] == bits);
    }
  }
}

struct Rounding {
  double value;
  uint32_t bits;
};

// Between each two neighbours: just below the middle, the middle, which goes to the even one, and just above.
std::vector<Rounding> turningPoints(const Format& format, double (*next)(double, double)) {
  std::vector<Rounding> points;
  for (uint32_t bits = 0; bits < infinityBits(format); ++bits) {
    const double low = valueOf(format, bits);
    const bool last = bits + 1 == infinityBits(format);
    // Above the largest number lies what would be next if the exponent had no end; from the middle on it is infinity.
    const double high = last ? 2 * low - valueOf(format, bits - 1) : valueOf(format, bits + 1);
    const double middle = low + (high - low) / 2;
    const uint32_t even = bits % 2 == 0 ? bits : bits + 1;
    points.push_back({next(middle, 0), bits});
    points.push_back({middle, even});
    points.push_back({next(middle, kInfinity), bits + 1});
  }
  points.push_back({kInfinity, infinityBits(format)});
  points.push_back({next(kInfinity, 0), infinityBits(format)});
  const size_t positive = points.size();
  for (size_t point = 0; point < positive; ++point) points.push_back({-points[point].value, points[point].bits | 0x8000u});
  return points;
}

double nextFloat(double value, double toward) { return std::nextafter(static_cast<float>(value), static_cast<float>(toward)); }
double nextDouble(double value, double toward) { return std::nextafter(value, toward); }

void roundsFloatToNearestEven(const Format& format) {
  const std::vector<Rounding> points = turningPoints(format, nextFloat);
  std::vector<float> values(points.size());
  for (size_t point = 0; point < points.size(); ++point) values[point] = static_cast<float>(points[point].value);
  const std::vector<uint16_t> results = converted<uint16_t>(values, DType::Float32, format.dtype);
  for (size_t point = 0; point < points.size(); ++point) {
    CHECK(rounded(format, values[point]) == points[point].bits);
    CHECK(results[point] == points[point].bits);
  }
}

// A double just beside the middle is exactly the middle once it is a float: rounding twice would go wrong here.
void roundsDoubleOnce(const Format& format) {
  const std::vector<Rounding> points = turningPoints(format, nextDouble);
  std::vector<double> values(points.size());
  for (size_t point = 0; point < points.size(); ++point) values[point] = points[point].value;
  const std::vector<uint16_t> results = converted<uint16_t>(values, DType::Float64, format.dtype);
  for (size_t point = 0; point < points.size(); ++point) CHECK(results[point] == points[point].bits);
}

// Each half type's values in the other: exact, or rounded once.
void convertsBetweenHalves(const Format& from, const Format& to) {
  std::vector<uint16_t> patterns(kPatterns);
  for (uint32_t bits = 0; bits < kPatterns; ++bits) patterns[bits] = static_cast<uint16_t>(bits);
  const std::vector<uint16_t> results = converted<uint16_t>(patterns, from.dtype, to.dtype);
  for (uint32_t bits = 0; bits < kPatterns; ++bits) {
    const double value = valueOf(from, bits);
    if (std::isnan(value)) {
      CHECK(std::isnan(valueOf(to, results[bits])));
    } else {
      CHECK(results[bits] == rounded(to, static_cast<float>(value)));
    }
  }
}

}  // namespace

int main() {
  skipWithoutInstructionSet();
  for (const Format& format : {kFloat16, kBFloat16}) {
    widensEveryPattern(format);
    roundsFloatToNearestEven(format);
    roundsDoubleOnce(format);
  }
  convertsBetweenHalves(kFloat16, kBFloat16);
  convertsBetweenHalves(kBFloat16, kFloat16);
}
