#pragma once
// The one thread of the process that calls HDF5, whose library is not safe to call from several.

#include <condition_variable>
#include <deque>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <thread>
#include <type_traits>

namespace outsole::store {

/// Runs functions one after another, in the order they were submitted, on its own thread.
class IoThread {
 public:
  IoThread();
  /// Finishes what was submitted and joins.
  ~IoThread();
  IoThread(const IoThread&) = delete;
  IoThread& operator=(const IoThread&) = delete;

  /// Queues `work`; its result or exception arrives in the future.
  template <typename Work>
  auto submit(Work work) -> std::future<std::invoke_result_t<Work>> {
    auto task = std::make_shared<std::packaged_task<std::invoke_result_t<Work>()>>(std::move(work));
    auto result = task->get_future();
    enqueue([task] { (*task)(); });
    return result;
  }

  /// Runs `work` there and waits for it; called on the I/O thread itself, it runs at once.
  template <typename Work>
  auto run(Work work) -> std::invoke_result_t<Work> {
    if (std::this_thread::get_id() == thread_.get_id()) return work();
    return submit(std::move(work)).get();
  }

 private:
  void enqueue(std::function<void()> task);
  void serve();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> queue_;
  bool ending_ = false;
  std::thread thread_;  // last: it uses the members above
};

/// The process's I/O thread, started by the first call and joined at exit.
IoThread& io_thread();

}  // namespace outsole::store
