#include "store/io_thread.h"

#include "store/hdf5_file.h"

namespace outsole::store {

IoThread::IoThread() : thread_([this] { serve(); }) {}

IoThread::~IoThread() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void IoThread::enqueue(std::function<void()> task) {
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back(std::move(task));
  }
  wake_.notify_one();
}

void IoThread::serve() {
  start_hdf5();
  while (true) {
    std::function<void()> task;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return ending_ || !queue_.empty(); });
      if (queue_.empty()) return;
      task = std::move(queue_.front());
      queue_.pop_front();
    }
    task();
  }
}

IoThread& io_thread() {
  static IoThread thread;
  return thread;
}

}  // namespace outsole::store
