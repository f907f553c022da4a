#include "match/gpu/gpu_search.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <map>
#include <mutex>
#include <optional>

#include "core/checked.h"
#include "core/errors.h"
#include "match/lanes.h"

namespace outsole::match::gpu {

namespace {

constexpr std::int64_t kAlignment = 256;

/// Arrays one after another in one buffer: where each begins, then all of them written at once.
class Packing {
 public:
  template <typename T>
  const T* place(const std::vector<T>& values) {
    const std::int64_t at = divide_up(std::ssize(bytes_), kAlignment) * kAlignment;
    bytes_.resize(static_cast<std::size_t>(at) + values.size() * sizeof(T));
    if (!values.empty()) std::memcpy(bytes_.data() + at, values.data(), values.size() * sizeof(T));
    return reinterpret_cast<const T*>(base_ + static_cast<Address>(at));
  }
  void begin_at(Address base) {
    base_ = base;
    bytes_.clear();
  }
  const std::vector<char>& bytes() const { return bytes_; }

 private:
  Address base_ = 0;
  std::vector<char> bytes_;
};

/// A block in the GPU's memory.
struct ResidentBlock {
  Buffer own_exact;  // empty where LibTorch has it there
  Buffer halves;
  const float* exact = nullptr;
  std::vector<float> gain;  // that the halves have
  std::vector<unsigned> not_finite = std::vector<unsigned>(kLanes);
};

/// The blocks that a GPU keeps, by the tensors they come from.
class Residents {
 public:
  static Residents& of(Device& device) {
    static std::mutex mutex;
    static std::map<Device*, Residents> all;
    const std::lock_guard lock(mutex);
    return all.try_emplace(&device).first->second;
  }

  /// The block, brought there when it is not. Throws EnvironmentError when there is no room.
  std::shared_ptr<ResidentBlock> bring(Device& device, const at::Tensor& block, const MarkArrays& mark) {
    forget_dead();
    Kept& kept = kept_[block.unsafeGetTensorImpl()];
    if (!kept.block || kept.version != block._version()) {
      kept = {Weak(block.getIntrusivePtr()), block._version(), nullptr};
      kept.block = upload(device, block);
    }
    if (kept.block->gain != mark.gain) pack_halves(device, mark, *kept.block);
    return kept.block;
  }

  void forget_all() { kept_.clear(); }

 private:
  using Weak = c10::weak_intrusive_ptr<c10::TensorImpl, c10::UndefinedTensorImpl>;
  struct Kept {
    std::optional<Weak> tensor;
    std::int64_t version = 0;
    std::shared_ptr<ResidentBlock> block;
  };

  void forget_dead() {
    std::erase_if(kept_, [](const auto& entry) { return !entry.second.block || entry.second.tensor->expired(); });
  }

  static std::shared_ptr<ResidentBlock> upload(Device& device, const at::Tensor& block) {
    auto resident = std::make_shared<ResidentBlock>();
    resident->halves = Buffer(device, block.numel() * 2);
    if (block.is_cuda()) {
      resident->exact = block.data_ptr<float>();
    } else {
      resident->own_exact =
          Buffer(device, std::span<const float>(block.data_ptr<float>(), static_cast<std::size_t>(block.numel())));
      resident->exact = resident->own_exact.as<float>();
    }
    return resident;
  }

  static void pack_halves(Device& device, const MarkArrays& mark, ResidentBlock& block) {
    const Buffer gain(device, std::span<const float>(mark.gain));
    Buffer not_finite(device, kLanes * static_cast<std::int64_t>(sizeof(unsigned)));
    not_finite.clear();
    PackWork work{};
    work.exact_y = block.exact;
    work.y = block.halves.as<unsigned short>();
    work.gain = gain.as<float>();
    work.not_finite = not_finite.as<unsigned>();
    work.channels = mark.channels;
    work.cells = mark.height * mark.width;
    device.launch(Device::Kernel::kPack, 4096, 1, 0, work);
    not_finite.read(0, block.not_finite.data(), block.not_finite.size() * sizeof(unsigned));
    block.gain = mark.gain;
  }

  std::map<c10::TensorImpl*, Kept> kept_;
};

/// Searches blocks that are there, and merges what is found.
void search_there(Device& device, const MarkArrays& mark, SearchWork work,
                  std::span<const std::shared_ptr<ResidentBlock>> blocks, std::span<BestPose> best) {
  std::vector<ExemplarBlock> table;
  for (const auto& block : blocks) table.push_back({block->halves.as<unsigned short>(), block->exact});
  const Buffer blocks_there(device, std::span<const ExemplarBlock>(table));
  std::vector<std::uint64_t> keys(best.size());
  Buffer keys_there(device, static_cast<std::int64_t>(keys.size() * sizeof(std::uint64_t)));
  keys_there.clear();
  work.blocks = blocks_there.as<ExemplarBlock>();
  work.best = keys_there.as<unsigned long long>();
  device.launch(Device::Kernel::kSearch, std::ssize(mark.patches), std::ssize(blocks) * (kLanes / kExemplars),
                kStages * mark.stage_bytes, work);
  keys_there.read(0, keys.data(), keys.size() * sizeof(std::uint64_t));
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (blocks[i / kLanes]->not_finite[i % kLanes] != 0) {
      best[i].merge({std::numeric_limits<float>::quiet_NaN(), {}});
    } else if (keys[i] != 0) {
      const Found found = found_of(keys[i]);
      best[i].merge({found.score, mark.pose_of(found.rank)});
    }
  }
}

}  // namespace

bool knows(const Similarity& similarity) { return epilogue_of(similarity) != Epilogue::kPooled; }

GpuMark::GpuMark(std::vector<MarkView> views, const FrameCells& frame, std::int64_t erosion_radius,
                 ChannelModel channels, const Similarity& similarity, Device& device)
    : device_(device) {
  ensure(knows(similarity), "the kernel for GPUs knows this similarity");
  const PreparedMark prepared(std::move(views), frame, erosion_radius, std::move(channels), similarity);
  useful_flops_ = prepared.useful_flops_per_exemplar();
  arrays_ = lay_out_mark(prepared.layout(), device.shared_bytes());
  std::vector<ViewGroup> groups;
  Packing packing;
  const auto place = [&](const auto& values) { return packing.place(values); };
  work_at(arrays_, groups, place);
  memory_ = Buffer(device, std::ssize(packing.bytes()));
  packing.begin_at(memory_.address());
  work_ = work_at(arrays_, groups, place);
  memory_.write(0, packing.bytes().data(), packing.bytes().size());
  for (GroupArrays& group : arrays_.groups) group = {};  // there by now
}

void search_blocks(const GpuMark& mark, std::span<const at::Tensor> blocks, std::span<BestPose> best) {
  ensure(best.size() == blocks.size() * kLanes, "one result per exemplar");
  const MarkArrays& arrays = mark.arrays_;
  for (const at::Tensor& block : blocks) {
    ensure(block.scalar_type() == at::kFloat && block.is_contiguous() &&
               block.sizes() == at::IntArrayRef({arrays.channels, arrays.width, arrays.height, kLanes}),
           "a block's shape is not that of the prepared mark's frame");
  }
  if (arrays.patches.empty()) return;
  Residents& residents = Residents::of(mark.device_);
  std::vector<std::shared_ptr<ResidentBlock>> some;
  std::size_t first = 0;
  const auto search_some = [&] {
    search_there(mark.device_, arrays, mark.work_, some, best.subspan(first * kLanes, some.size() * kLanes));
    first += some.size();
    some.clear();
  };
  for (const at::Tensor& block : blocks) {
    try {
      some.push_back(residents.bring(mark.device_, block, arrays));
    } catch (const EnvironmentError&) {  // no room: what is there is searched, and makes room
      if (!some.empty()) search_some();
      residents.forget_all();
      some.push_back(residents.bring(mark.device_, block, arrays));
    }
  }
  if (!some.empty()) search_some();
}

std::int64_t block_bytes(const FrameCells& frame, std::int64_t channels) {
  return checked_product({channels, frame.height, frame.width, kLanes, static_cast<std::int64_t>(sizeof(float) + 2)},
                         "a block");
}

}  // namespace outsole::match::gpu
