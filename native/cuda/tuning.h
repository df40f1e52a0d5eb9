// The constants by which the plan predicts times, one row for each generation of GPUs.
#pragma once

namespace cuda_batchnorm::cuda {

struct Tuning {
  int major, minor;           // from this compute capability on, up to the next row's
  double bandwidth;           // what a copy reaches of the memory's peak
  double processorBandwidth;  // most that one multiprocessor moves, in multiples of its equal share of that
  double cacheBandwidth;      // of the second-level cache, in multiples of the memory's peak
  double launch;              // seconds from one kernel to the next in a stream
  double latency;             // seconds from a request to memory to its answer
  double step;                // seconds a multiprocessor takes over a warp's access, both times it is used
  double stepLatency;         // the same for one warp, however few there are
  double piece;               // seconds a block takes over a piece besides moving it: barriers, and what is done once per channel
  double clusterMeeting;      // seconds for the blocks of a cluster to tell each other what they have
  double gridMeeting;         // the same through memory
};

// Estimates from published latencies of these generations, but for rows that say on which GPU they were measured: `npm run tune:gpu`
// measures and writes such a row.
constexpr Tuning kTunings[] = {
    {7, 5, 0.85, 2.0, 2.0, 2.0e-6, 0.6e-6, 15e-9, 120e-9, 2.5e-6, 0, 2.0e-6},        // Turing
    {8, 0, 0.88, 2.0, 2.0, 2.0e-6, 0.6e-6, 15e-9, 120e-9, 1.8e-6, 0, 1.6e-6},        // Ampere
    {8, 6, 0.88, 2.0, 2.5, 2.0e-6, 0.6e-6, 15e-9, 120e-9, 2.2e-6, 0, 1.6e-6},        // Ampere and Ada with little double arithmetic
    {9, 0, 0.90, 2.0, 1.8, 2.0e-6, 0.7e-6, 15e-9, 120e-9, 1.8e-6, 0.6e-6, 1.6e-6},   // Hopper
    {10, 0, 0.90, 2.0, 1.8, 2.0e-6, 0.8e-6, 15e-9, 120e-9, 1.8e-6, 0.6e-6, 1.6e-6},  // Blackwell, data centre
    {12, 0, 0.88, 2.0, 2.5, 2.0e-6, 0.7e-6, 15e-9, 120e-9, 2.2e-6, 0.6e-6, 1.6e-6},  // Blackwell, others
};

struct TuningConstant {
  const char* name;
  double Tuning::*place;
};
constexpr TuningConstant kTuningConstants[] = {
    {"bandwidth", &Tuning::bandwidth},
    {"processorBandwidth", &Tuning::processorBandwidth},
    {"cacheBandwidth", &Tuning::cacheBandwidth},
    {"launch", &Tuning::launch},
    {"latency", &Tuning::latency},
    {"step", &Tuning::step},
    {"stepLatency", &Tuning::stepLatency},
    {"piece", &Tuning::piece},
    {"clusterMeeting", &Tuning::clusterMeeting},
    {"gridMeeting", &Tuning::gridMeeting},
};

// The row of a compute capability.
inline Tuning tuningOf(int major, int minor) {
  Tuning best = kTunings[0];
  for (const Tuning& row : kTunings) {
    if (major > row.major || (major == row.major && minor >= row.minor)) best = row;
  }
  return best;
}

}  // namespace cuda_batchnorm::cuda
