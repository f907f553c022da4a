#include "learn/tensor_file.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <cmath>
#include <cstring>
#include <map>
#include <utility>

#include "core/errors.h"
#include "core/files.h"
#include "store/image_rows.h"

namespace outsole::learn {

namespace {

namespace fs = std::filesystem;
using nlohmann::json;

std::string text_of(at::IntArrayRef shape) {
  std::string text;
  for (const std::int64_t length : shape) text += (text.empty() ? "" : ", ") + std::to_string(length);
  return "[" + text + "]";
}

store::Columns columns_of(const std::vector<NamedTensor>& tensors, const fs::path& path) {
  std::vector<std::string> names;
  std::vector<std::int64_t> shapes, ranks, lengths;
  std::vector<float> values;
  for (const auto& [name, tensor] : tensors) {
    const at::Tensor plain = tensor.detach().to(at::kCPU, at::kFloat).contiguous();
    if (!plain.isfinite().all().item<bool>()) {
      throw DataError(path.string() + ": not written, since tensor '" + name + "' is no longer finite");
    }
    names.push_back(name);
    shapes.insert(shapes.end(), plain.sizes().begin(), plain.sizes().end());
    ranks.push_back(plain.dim());
    values.insert(values.end(), plain.data_ptr<float>(), plain.data_ptr<float>() + plain.numel());
    lengths.push_back(plain.numel());
  }
  const std::int64_t rows = std::ssize(names);
  store::Columns columns;
  columns["name"] = {{rows}, std::move(names), {}};
  columns["shape"] = {{rows}, std::move(shapes), std::move(ranks)};
  columns["values"] = {{rows}, std::move(values), std::move(lengths)};
  return columns;
}

fs::path shards_of(const fs::path& path) { return fs::path(path).replace_extension(".shards"); }

/// The tensors of a store by name.
class TensorTable {
 public:
  explicit TensorTable(const store::Store& store) : store_(store) {
    const auto names = store::read_values<std::string>(store, "name");
    for (std::size_t row = 0; row < names.size(); ++row) {
      if (!rows_.emplace(names[row], static_cast<std::int64_t>(row)).second) {
        throw DataError(store.path().string() + ": tensor '" + names[row] + "' appears twice");
      }
    }
  }

  /// Throws DataError unless the tensors are exactly those named by `expected`.
  void require_only(const std::vector<NamedTensor>& expected) const {
    auto others = rows_;
    for (const NamedTensor& tensor : expected) others.erase(tensor.name);
    if (others.empty()) return;
    throw DataError(store_.path().string() + ": tensor '" + others.begin()->first + "' does not belong to the model");
  }

  /// The tensor of that name, which must have the shape of `expected.tensor`.
  at::Tensor read(const NamedTensor& expected) const {
    const std::string where = store_.path().string() + ": tensor '" + expected.name + "'";
    const auto row = rows_.find(expected.name);
    if (row == rows_.end()) throw DataError(where + " is missing");
    const auto shape = store::read_values<std::int64_t>(store_, "shape", row->second, 1);
    const auto wanted = expected.tensor.sizes();
    if (at::IntArrayRef(shape) != wanted) {
      throw DataError(where + " has the shape " + text_of(shape) + " where the model has " + text_of(wanted));
    }
    if (const std::int64_t elements = store::row_lengths(store_, "values", row->second, 1).front();
        elements != expected.tensor.numel()) {
      throw DataError(where + " has " + std::to_string(elements) + " values, which do not fill its shape");
    }
    const auto values = store::read_values<float>(store_, "values", row->second, 1);
    at::Tensor tensor = at::empty(wanted, at::kFloat);
    std::memcpy(tensor.data_ptr<float>(), values.data(), values.size() * sizeof(float));
    if (!tensor.isfinite().all().item<bool>()) throw DataError(where + " holds values that are not finite");
    return tensor;
  }

 private:
  const store::Store& store_;
  std::map<std::string, std::int64_t> rows_;
};

/// Moves a whole store from a folder beside `path` there.
void publish_staged(const fs::path& staged, const fs::path& path) {
  remove_tensor_store(path);
  fs::rename(shards_of(staged), shards_of(path));
  publish_file(staged, path);
  fs::remove_all(staged.parent_path());
}

}  // namespace

// In a folder beside `path` first, then moved there, so that nothing half-written ever bears the name.
void save_tensors(const fs::path& path, const store::StoreHeader& header, const std::vector<NamedTensor>& tensors) {
  const store::Columns columns = columns_of(tensors, path);
  const fs::path staging = fs::path(path).replace_extension(".part"), staged = staging / path.filename();
  try {
    fs::remove_all(staging);
    {
      store::StoreWriter writer(staged, header, 1, true);
      writer.write_unit(0, columns);
      writer.finish();
    }
    publish_staged(staged, path);
  } catch (const fs::filesystem_error& error) {
    throw EnvironmentError(path.string() + ": cannot be written: " + error.what());
  }
}

void copy_tensor_store(const fs::path& from, const fs::path& to) try {
  ensure(from.filename() == to.filename(), "a store names the folder of its shards");
  const fs::path staging = fs::path(to).replace_extension(".part"), staged = staging / to.filename();
  fs::remove_all(staging);
  fs::create_directories(shards_of(staged));
  for (const auto& entry : fs::directory_iterator(shards_of(from))) {
    if (entry.path().extension() != ".h5") continue;
    const fs::path shard = shards_of(staged) / entry.path().filename(), temporary = shard.string() + ".part";
    fs::copy_file(entry.path(), temporary);
    publish_file(temporary, shard);
  }
  fs::copy_file(from, staged);
  publish_staged(staged, to);
} catch (const fs::filesystem_error& error) {
  throw EnvironmentError(to.string() + ": cannot be written: " + error.what());
}

std::vector<at::Tensor> read_tensors(const store::Store& store, const std::vector<NamedTensor>& expected) {
  const TensorTable table(store);
  table.require_only(expected);
  std::vector<at::Tensor> tensors;
  for (const NamedTensor& tensor : expected) tensors.push_back(table.read(tensor));
  return tensors;
}

void copy_into(std::vector<NamedTensor> targets, const std::vector<at::Tensor>& values) {
  const c10::NoGradGuard no_gradients;
  for (std::size_t i = 0; i < targets.size(); ++i) targets[i].tensor.copy_(values[i]);
}

void remove_tensor_store(const fs::path& path) {
  std::error_code error;
  fs::remove(path, error);
  if (!error) fs::remove_all(shards_of(path), error);
  if (error) throw EnvironmentError(path.string() + ": cannot be removed: " + error.message());
}

const json& entry(const json& object, const char* name, const fs::path& path) {
  if (!object.is_object() || !object.contains(name)) {
    throw DataError(path.string() + ": '" + name + "' is missing in its parameters");
  }
  return object.at(name);
}

std::int64_t whole_number(const json& object, const char* name, std::int64_t least, std::int64_t most,
                          const fs::path& path) {
  const json& value = entry(object, name, path);
  const bool is_small = value.is_number_integer() && value >= least && value <= most;
  if (!is_small) {
    throw DataError(path.string() + ": '" + name + "' is " +
                    value.dump(-1, ' ', false, json::error_handler_t::replace) + ", not a whole number from " +
                    std::to_string(least) + " to " + std::to_string(most));
  }
  return value.get<std::int64_t>();
}

double finite_number(const json& object, const char* name, const fs::path& path) {
  const json& value = entry(object, name, path);
  if (!value.is_number() || !std::isfinite(value.get<double>())) {
    throw DataError(path.string() + ": '" + name + "' is not a number");
  }
  return value.get<double>();
}

}  // namespace outsole::learn
