#include "match/gpu/gpu_search.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <map>
#include <mutex>

#include "core/checked.h"
#include "core/errors.h"
#include "match/lanes.h"

namespace outsole::match::gpu {

extern const char* const kPtx;  // of kernels.cu

namespace {

constexpr std::int64_t kAlignment = 256;

/// Arrays one after another in a buffer that begins at `base`.
class Packing {
 public:
  explicit Packing(std::uint64_t base, std::int64_t bytes) : base_(base), bytes_(static_cast<std::size_t>(bytes)) {}

  template <typename T>
  const T* place(const std::vector<T>& values) {
    const std::int64_t at = end_;
    end_ = end_after(end_, values);
    if (!values.empty()) std::memcpy(bytes_.data() + at, values.data(), values.size() * sizeof(T));
    return reinterpret_cast<const T*>(base_ + static_cast<std::uint64_t>(at));
  }
  const std::vector<char>& bytes() const { return bytes_; }

  /// Where the next array may begin once `values` has been placed at `begin`.
  template <typename T>
  static std::int64_t end_after(std::int64_t begin, const std::vector<T>& values) {
    return divide_up(begin + std::ssize(values) * static_cast<std::int64_t>(sizeof(T)), kAlignment) * kAlignment;
  }

 private:
  std::uint64_t base_;
  std::vector<char> bytes_;
  std::int64_t end_ = 0;
};

/// The kernels, loaded once on each GPU.
struct Kernels {
  GpuKernel search, search_products, pack;

  static const Kernels& on(const Gpu& gpu) {
    static std::mutex mutex;
    static std::map<const Gpu*, Kernels> all;
    const std::lock_guard lock(mutex);
    const auto known = all.find(&gpu);
    if (known != all.end()) return known->second;
    const std::vector<GpuKernel> kernels =
        gpu.load(kPtx, {"outsole_search", "outsole_search_products", "outsole_pack"});
    return all.insert({&gpu, Kernels{kernels[0], kernels[1], kernels[2]}}).first->second;
  }
};

/// A block in the GPU's memory.
struct ResidentBlock {
  GpuBuffer own_exact;  // empty where LibTorch has it there
  GpuBuffer halves;
  const float* exact = nullptr;
  std::int64_t bytes = 0;
  std::vector<float> gain;  // that the halves have
  std::array<unsigned, kLanes> not_finite{};
};

/// The blocks that a GPU keeps, by the tensors they come from.
class Residents {
 public:
  static Residents& of(const Gpu& gpu) {
    static std::mutex mutex;
    static std::map<const Gpu*, Residents> all;
    const std::lock_guard lock(mutex);
    return all.try_emplace(&gpu).first->second;
  }

  /// The block, brought there when it is not, and as the mark wants it. Null: there is no room.
  std::shared_ptr<ResidentBlock> bring(const Gpu& gpu, const at::Tensor& block, const MarkArrays& mark,
                                       std::int64_t most_bytes) {
    std::erase_if(kept_, [](const auto& entry) { return entry.second.tensor.expired(); });
    const auto known = kept_.find(block.unsafeGetTensorImpl());
    if (known != kept_.end() && known->second.version == block._version()) {
      if (known->second.block->gain != mark.gain) pack_halves(gpu, mark, *known->second.block);
      return known->second.block;
    }
    forget(block);
    const std::int64_t bytes = block.numel() * (block.is_cuda() ? 2 : 6), kept = kept_bytes();
    if (kept > 0 && bytes > (most_bytes > 0 ? most_bytes - kept : gpu.memory().free_bytes - kSpareBytes))
      return nullptr;
    std::shared_ptr<ResidentBlock> resident = upload(gpu, block);
    resident->bytes = bytes;
    pack_halves(gpu, mark, *resident);
    kept_.insert({block.unsafeGetTensorImpl(), Kept{Weak(block.getIntrusivePtr()), block._version(), resident}});
    return resident;
  }

  void forget_all() { kept_.clear(); }

 private:
  static constexpr std::int64_t kSpareBytes = std::int64_t{512} << 20;  // for marks and what is found

  using Weak = c10::weak_intrusive_ptr<c10::TensorImpl, c10::UndefinedTensorImpl>;
  struct Kept {
    Weak tensor;
    std::int64_t version;
    std::shared_ptr<ResidentBlock> block;
  };

  void forget(const at::Tensor& block) { kept_.erase(block.unsafeGetTensorImpl()); }

  std::int64_t kept_bytes() const {
    std::int64_t bytes = 0;
    for (const auto& [tensor, kept] : kept_) bytes += kept.block->bytes;
    return bytes;
  }

  static std::shared_ptr<ResidentBlock> upload(const Gpu& gpu, const at::Tensor& block) {
    auto resident = std::make_shared<ResidentBlock>();
    resident->halves = GpuBuffer(gpu, block.numel() * 2);
    if (block.is_cuda()) {
      resident->exact = block.data_ptr<float>();
    } else {
      const std::span<const float> values(block.data_ptr<float>(), static_cast<std::size_t>(block.numel()));
      resident->own_exact = GpuBuffer(gpu, values);
      resident->exact = resident->own_exact.as<float>();
    }
    return resident;
  }

  static void pack_halves(const Gpu& gpu, const MarkArrays& mark, ResidentBlock& block) {
    constexpr std::int64_t kBlocks = 4096;
    const GpuBuffer gain(gpu, std::span<const float>(mark.gain));
    GpuBuffer not_finite(gpu, sizeof block.not_finite);
    not_finite.clear();
    PackWork work{};
    work.exact_y = block.exact;
    work.y = block.halves.as<unsigned short>();
    work.gain = gain.as<float>();
    work.not_finite = not_finite.as<unsigned>();
    work.channels = mark.channels;
    work.cells = mark.height * mark.width;
    const std::int64_t pairs = std::int64_t{work.channels} * work.cells * kLanes / 2;
    gpu.launch(Kernels::on(gpu).pack, {.x = std::min(kBlocks, divide_up(pairs, kMostThreads)), .threads = kMostThreads},
               work);
    not_finite.read(block.not_finite.data(), sizeof block.not_finite);
    block.gain = mark.gain;
  }

  std::map<const c10::TensorImpl*, Kept> kept_;
};

/// Searches blocks that are there, and merges what is found.
void search_there(const Gpu& gpu, const MarkArrays& mark, SearchWork work,
                  std::span<const std::shared_ptr<ResidentBlock>> blocks, std::span<BestPose> best) {
  std::vector<ExemplarBlock> table;
  for (const auto& block : blocks) table.push_back({block->halves.as<unsigned short>(), block->exact});
  const GpuBuffer table_there(gpu, std::span<const ExemplarBlock>(table));
  std::vector<std::uint64_t> keys(best.size());
  const std::size_t keys_bytes = keys.size() * sizeof keys[0];
  GpuBuffer keys_there(gpu, static_cast<std::int64_t>(keys_bytes));
  keys_there.clear();
  work.blocks = table_there.as<ExemplarBlock>();
  work.best = keys_there.as<unsigned long long>();
  const Kernels& kernels = Kernels::on(gpu);
  gpu.launch(mark.normalizes ? kernels.search : kernels.search_products,
             {.x = std::ssize(mark.patches),
              .y = std::ssize(blocks) * (kLanes / kExemplars),
              .threads = 32 * mark.warps,
              .shared_bytes = mark.shared_bytes()},
             work);
  keys_there.read(keys.data(), keys_bytes);
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
                 ChannelModel channels, const Similarity& similarity, const Gpu& gpu)
    : gpu_(gpu) {
  ensure(knows(similarity), "the kernel for GPUs knows this similarity");
  const PreparedMark prepared(std::move(views), frame, erosion_radius, std::move(channels), similarity);
  useful_flops_ = prepared.useful_flops_per_exemplar();
  arrays_ = lay_out_mark(prepared.layout(), gpu.shared_bytes());
  std::vector<ViewGroup> groups;
  std::int64_t bytes = 0;
  work_at(arrays_, groups, [&]<typename T>(const std::vector<T>& values) -> const T* {
    bytes = Packing::end_after(bytes, values);
    return nullptr;
  });
  memory_ = GpuBuffer(gpu, bytes);
  Packing packing(memory_.address(), bytes);
  work_ = work_at(arrays_, groups, [&](const auto& values) { return packing.place(values); });
  memory_.write(packing.bytes().data(), packing.bytes().size());
  for (GroupArrays& group : arrays_.groups) group = {};  // there by now
}

void search_blocks(const GpuMark& mark, std::span<const at::Tensor> blocks, std::span<BestPose> best,
                   std::int64_t most_bytes) {
  ensure(best.size() == blocks.size() * kLanes, "one result per exemplar");
  const MarkArrays& arrays = mark.arrays_;
  for (const at::Tensor& block : blocks) {
    ensure(block.scalar_type() == at::kFloat && block.is_contiguous() &&
               block.sizes() == at::IntArrayRef({arrays.channels, arrays.width, arrays.height, kLanes}),
           "a block's shape is not that of the prepared mark's frame");
  }
  if (arrays.patches.empty()) return;
  Residents& residents = Residents::of(mark.gpu_);
  std::vector<std::shared_ptr<ResidentBlock>> some;
  const auto search_some = [&](std::size_t end) {
    if (some.empty()) return;
    const std::size_t first = end - some.size();
    search_there(mark.gpu_, arrays, mark.work_, some, best.subspan(first * kLanes, some.size() * kLanes));
    some.clear();
  };
  for (std::size_t b = 0; b < blocks.size(); ++b) {
    std::shared_ptr<ResidentBlock> block = residents.bring(mark.gpu_, blocks[b], arrays, most_bytes);
    if (!block) {  // what is there is searched, and makes room
      search_some(b);
      residents.forget_all();
      block = residents.bring(mark.gpu_, blocks[b], arrays, most_bytes);
    }
    some.push_back(std::move(block));
  }
  search_some(blocks.size());
}

}  // namespace outsole::match::gpu
