#include "learn/gradient_sum.h"

#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

#include <functional>
#include <optional>
#include <span>
#include <utility>

#include "core/errors.h"

namespace outsole::learn {

namespace {

namespace autograd = torch::autograd;

/// Some parameters' gradients in one piece of memory.
struct Bucket {
  std::vector<at::Tensor> parameters;
  at::Tensor gradients;                  // flat, on the parameters' device
  at::Tensor message;                    // what MPI sums: the gradients, or of a GPU's their copy on the host
  std::size_t missing = 0;               // parameters whose gradient this backward pass has not given yet
  std::optional<c10::Event> in_message;  // GPU: reached when `message` holds the gradients
  comm::PendingSum sum;

  bool is_copied() const { return !message.is_same(gradients); }
};

std::int64_t bytes_of(const at::Tensor& tensor) { return tensor.numel() * tensor.element_size(); }

/// Last parameter first, as the backward pass gives the gradients; at most `bucket_bytes` each, or one parameter.
std::vector<Bucket> make_buckets(const std::vector<at::Tensor>& parameters, std::int64_t bucket_bytes) {
  std::vector<Bucket> buckets;
  std::int64_t bytes = 0;
  for (auto parameter = parameters.rbegin(); parameter != parameters.rend(); ++parameter) {
    if (buckets.empty() || bytes + bytes_of(*parameter) > bucket_bytes) {
      buckets.emplace_back();
      bytes = 0;
    }
    buckets.back().parameters.push_back(*parameter);
    bytes += bytes_of(*parameter);
  }
  return buckets;
}

/// Takes the bucket's memory and makes the parameters' gradients views into it. MPI sums no memory of a GPU: even Open
/// MPI built for CUDA does not take it in reductions that do not block. A single rank has nothing to sum.
void place_gradients(Bucket& bucket, bool is_summed) {
  std::int64_t numbers = 0;
  for (const at::Tensor& parameter : bucket.parameters) numbers += parameter.numel();
  const at::TensorOptions options = bucket.parameters.front().options().requires_grad(false);
  bucket.gradients = at::zeros({numbers}, options);
  bucket.message = bucket.gradients.is_cpu() || !is_summed
                       ? bucket.gradients
                       : at::empty({numbers}, options.device(at::kCPU).pinned_memory(true));
  std::int64_t begin = 0;
  for (at::Tensor& parameter : bucket.parameters) {
    parameter.mutable_grad() = bucket.gradients.narrow(0, begin, parameter.numel()).view(parameter.sizes());
    begin += parameter.numel();
  }
}

comm::PendingSum start_sum(const comm::Communicator& comm, const at::Tensor& message) {
  const auto numbers = static_cast<std::size_t>(message.numel());
  if (message.scalar_type() == at::kDouble) return comm.start_sum(std::span(message.data_ptr<double>(), numbers));
  return comm.start_sum(std::span(message.data_ptr<float>(), numbers));
}

c10::Stream current_stream(const at::Device& device) {
  return c10::impl::VirtualGuardImpl(device.type()).getStream(device);
}

}  // namespace

/// Buckets are filled (their gradients are there, or on a GPU will be once its stream has got so far) and then started
/// (MPI sums them), always in the same order, so that all ranks start the same sums in the same order.
struct GradientSum::State {
  using Accumulator = decltype(autograd::impl::grad_accumulator(std::declval<const at::Tensor&>()));
  comm::Communicator comm;
  std::vector<Bucket> buckets;
  std::size_t filled = 0, started = 0;                                            // buckets so far
  std::vector<std::pair<Accumulator, std::uintptr_t>> hooks;                      // accumulator and the hook's key

  void gradient_is_there(Bucket& bucket) {
    --bucket.missing;
    while (filled < buckets.size() && buckets[filled].missing == 0) fill_message(buckets[filled++]);
    start_sums();
    for (std::size_t i = 0; i < started; ++i) buckets[i].sum.advance();
  }

  static void fill_message(Bucket& bucket) {
    if (bucket.gradients.is_cpu()) return;
    if (bucket.is_copied()) bucket.message.copy_(bucket.gradients, /*non_blocking=*/true);
    bucket.in_message.emplace(bucket.gradients.device().type());
    bucket.in_message->record(current_stream(bucket.gradients.device()));
  }

  void start_sums() {
    for (; started < filled; ++started) {
      Bucket& bucket = buckets[started];
      if (bucket.in_message && !bucket.in_message->query()) return;
      bucket.sum = start_sum(comm, bucket.message);
    }
  }
};

namespace {

/// Calls a function each time a parameter's gradient has been accumulated.
struct AfterAccumulation : autograd::FunctionPostHook {
  explicit AfterAccumulation(std::function<void()> function) : call(std::move(function)) {}
  autograd::variable_list operator()(const autograd::variable_list& outputs, const autograd::variable_list&) override {
    call();
    return outputs;
  }
  std::function<void()> call;
};

}  // namespace

GradientSum::GradientSum(std::vector<at::Tensor> parameters, const comm::Communicator& comm, std::int64_t bucket_bytes)
    : state_(new State{comm, make_buckets(parameters, bucket_bytes), 0, 0, {}}) {
  const bool on_cpu = parameters.empty() || parameters.front().is_cpu();
  if (!on_cpu && comm.size() > 1 && !comm.other_threads_may_call()) {
    throw EnvironmentError(
        "this MPI library does not let LibTorch's own thread sum gradients (it lacks MPI_THREAD_SERIALIZED): use a "
        "build of it with threads, or train on one rank");
  }
  for (Bucket& bucket : state_->buckets) {
    place_gradients(bucket, comm.size() > 1);
    bucket.missing = bucket.parameters.size();
    if (comm.size() == 1) continue;
    for (const at::Tensor& parameter : bucket.parameters) {
      auto accumulator = autograd::impl::grad_accumulator(parameter);
      ensure(accumulator.get() != nullptr, "GradientSum: a parameter that requires no gradient");
      const auto key = accumulator->add_post_hook(
          std::make_unique<AfterAccumulation>([state = state_.get(), &bucket] { state->gradient_is_there(bucket); }));
      state_->hooks.emplace_back(std::move(accumulator), key);
    }
  }
}

GradientSum::~GradientSum() {
  for (auto& [accumulator, key] : state_->hooks) accumulator->del_post_hook(key);
}

void GradientSum::zero() {
  for (Bucket& bucket : state_->buckets) bucket.gradients.zero_();
}

void GradientSum::finish() {
  State& state = *state_;
  if (state.comm.size() == 1) return;
  for (; state.filled < state.buckets.size(); ++state.filled) State::fill_message(state.buckets[state.filled]);
  const at::Device device = state.buckets.front().gradients.device();
  if (!device.is_cpu()) current_stream(device).synchronize();
  state.start_sums();
  ensure(state.started == state.buckets.size(), "GradientSum: gradients on another stream than this thread's");
  for (Bucket& bucket : state.buckets) {
    bucket.sum.wait();
    if (bucket.is_copied()) bucket.gradients.copy_(bucket.message, /*non_blocking=*/true);
    bucket.missing = bucket.parameters.size();
  }
  state.filled = state.started = 0;
}

}  // namespace outsole::learn
