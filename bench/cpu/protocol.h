// What helper.ts asks the programs of the CPU benchmark for: a line with an operation on a problem, so many times.
#pragma once

#include <cstdint>
#include <iostream>
#include <string>
#include <tuple>

struct Request {
  std::string operation;
  int calls = 0;
  std::string layout;  // first, last
  int64_t n = 0, c = 0, h = 0, w = 0;

  bool hasProblemOf(const Request& other) const {
    return std::tie(layout, n, c, h, w) == std::tie(other.layout, other.n, other.c, other.h, other.w);
  }
};

inline std::istream& operator>>(std::istream& in, Request& request) {
  return in >> request.operation >> request.calls >> request.layout >> request.n >> request.c >> request.h >> request.w;
}

struct Answer {
  double seconds;
  std::string way = {};  // how it was done, where there are several ways
};

// Until there are no more: calls open(request) where the problem is another one than before, and prints what answer(request) returns.
template <class Open, class Reply>
void answerRequests(Open open, Reply answer) {
  Request before;
  for (Request request; std::cin >> request; before = request) {
    if (!request.hasProblemOf(before)) open(request);
    const Answer given = answer(request);
    std::cout << given.seconds << (given.way.empty() ? "" : " ") << given.way << std::endl;
  }
}
