#pragma once
// Tensors by name as a store: a row is a tensor, in 32 bit. And the entries of a store's parameters, which a stranger
// may have written.
//
// None of these calls is collective.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "store/store.h"

namespace outsole::learn {

struct NamedTensor {
  std::string name;
  at::Tensor tensor;
};

/// Writes NAME.h5 and its shards whole or not at all; replaces an older one. The schema has the data sets `name`,
/// `shape` and `values`. Throws DataError when a number is not finite, EnvironmentError when the disk refuses. One
/// rank.
void save_tensors(const std::filesystem::path& path, const store::StoreHeader& header,
                  const std::vector<NamedTensor>& tensors);

/// All of the store's tensors in the order of `expected`, which says their names and shapes; on the CPU. Throws
/// DataError naming file and tensor when it holds others, or numbers that are not finite, or is damaged.
std::vector<at::Tensor> read_tensors(const store::Store& store, const std::vector<NamedTensor>& expected);

/// Copies each value into its tensor, wherever that lies.
void copy_into(std::vector<NamedTensor> targets, const std::vector<at::Tensor>& values);

/// Copies FOLDER/NAME.h5 and its shards to NAME.h5 of another folder, whole or not at all; replaces an older one.
/// Throws EnvironmentError when the disk refuses. One rank.
void copy_tensor_store(const std::filesystem::path& from, const std::filesystem::path& to);

/// Removes NAME.h5, then its shards. Throws EnvironmentError.
void remove_tensor_store(const std::filesystem::path& path);

// Entries of the parameters of the store at `path`. Each throws DataError naming file and entry.

const nlohmann::json& entry(const nlohmann::json& object, const char* name, const std::filesystem::path& path);

std::int64_t whole_number(const nlohmann::json& object, const char* name, std::int64_t least, std::int64_t most,
                          const std::filesystem::path& path);

double finite_number(const nlohmann::json& object, const char* name, const std::filesystem::path& path);

}  // namespace outsole::learn
