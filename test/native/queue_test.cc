#include "../../native/cpu/queue.h"

#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "check.h"

namespace {

using cuda_batchnorm::cpu::Queue;

std::string messageOf(const std::exception_ptr& error) {
  if (error == nullptr) return "";
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& exception) {
    return exception.what();
  }
}

void keepsOrder() {
  Queue queue;
  std::vector<int> order;
  for (int task = 0; task < 10000; ++task) {
    queue.submit([&order, task] { order.push_back(task); });
  }
  queue.wait();
  CHECK(queue.idle());
  CHECK(order.size() == 10000);
  for (int task = 0; task < 10000; ++task) CHECK(order[static_cast<size_t>(task)] == task);
}

// Waits long enough for the queue's thread to fall asleep between two tasks, and for the caller to fall asleep in wait().
void wakesUp() {
  Queue queue;
  int done = 0;
  for (int task = 0; task < 20; ++task) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    queue.submit([&done] {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      ++done;
    });
    queue.wait();
    CHECK(done == task + 1);
  }
}

void waitsOftenAndBriefly() {
  Queue queue;
  int done = 0;
  for (int task = 0; task < 20000; ++task) {
    queue.submit([&done] { ++done; });
    if (task % 3 != 0) queue.wait();
  }
  queue.wait();
  CHECK(done == 20000);
}

void knowsWhenIdle() {
  Queue queue;
  CHECK(queue.idle());
  queue.wait();
  std::atomic<bool> open{false};
  queue.submit([&open] {
    while (!open) std::this_thread::yield();
  });
  CHECK(!queue.idle());
  open = true;
  queue.wait();
  CHECK(queue.idle());
}

void keepsTheFirstError() {
  Queue queue;
  bool later = false;
  queue.submit([] { throw std::runtime_error("first"); });
  queue.submit([] { throw std::runtime_error("second"); });
  queue.submit([&later] { later = true; });
  queue.wait();
  CHECK(later);
  CHECK(messageOf(queue.takeError()) == "first");
  CHECK(queue.takeError() == nullptr);
}

void finishesBeforeItEnds() {
  int done = 0;
  {
    Queue queue;
    for (int task = 0; task < 100; ++task) {
      queue.submit([&done] {
        std::this_thread::sleep_for(std::chrono::microseconds(50));
        ++done;
      });
    }
  }
  CHECK(done == 100);
}

// At once, not when all that was queued together is done: what it holds may be a large snapshot.
void givesUpWhatATaskHolds() {
  Queue queue;
  std::atomic<bool> open{false};
  queue.submit([&open] {
    while (!open) std::this_thread::yield();
  });
  auto held = std::make_shared<int>(1);
  const std::weak_ptr<int> seen = held;
  queue.submit([held = std::move(held)] {});
  bool gone = false;
  queue.submit([&] { gone = seen.expired(); });
  open = true;
  queue.wait();
  CHECK(gone);
}

}  // namespace

int main() {
  keepsOrder();
  wakesUp();
  waitsOftenAndBriefly();
  knowsWhenIdle();
  keepsTheFirstError();
  finishesBeforeItEnds();
  givesUpWhatATaskHolds();
}
