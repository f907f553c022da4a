// Stores that HDF5 wrote and that lie: about where rows come from, how large they are, what they are stored through.

#include <gmock/gmock.h>
#include <hdf5.h>

#include <functional>

#include "core/errors.h"
#include "ingest/exemplars.h"
#include "sample_store.h"
#include "store/image_rows.h"
#include "store/seal.h"

namespace outsole::store {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::HasSubstr;

class CraftedStore : public StoreTest {
 protected:
  CraftedStore() { write_sample(path_); }

  /// Changes a file by HDF5 and seals it, as one would who forges a store.
  static void alter(const fs::path& path, Sealed what, const std::function<void(hid_t)>& change) {
    const hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_libver_bounds(access, H5F_LIBVER_V110, H5F_LIBVER_V110);
    const hid_t file = H5Fopen(path.c_str(), H5F_ACC_RDWR, access);
    ASSERT_GE(file, 0);
    change(file);
    EXPECT_GE(H5Fclose(file), 0);
    H5Pclose(access);
    write_seal(path, what);
  }

  void alter_view(const std::function<void(hid_t)>& change) const { alter(path_, Sealed::kView, change); }

  /// The first shard, and the view's record of it.
  void alter_shard(const std::function<void(hid_t)>& change) const {
    alter(shard_, Sealed::kShard, change);
    alter_view([&](hid_t file) {
      const auto update = [&](const char* name, auto edit) {
        const hid_t dataset = H5Dopen2(file, name, H5P_DEFAULT), type = H5Dget_type(dataset);
        std::vector<char> values(H5Dget_storage_size(dataset));
        H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data());
        edit(values.data());
        H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data());
        H5Tclose(type);
        H5Dclose(dataset);
      };
      update("shards/sha256", [&](char* hashes) { sha256_of_file(shard_).copy(hashes, 64); });
      update("shards/size_bytes", [&](char* sizes) {
        const auto size = static_cast<std::int64_t>(fs::file_size(shard_));
        std::copy_n(reinterpret_cast<const char*>(&size), sizeof size, sizes);
      });
    });
  }

  /// Puts a data set of bytes in place of `name`; only the first chunk is written, so that little is stored.
  static void replace(hid_t file, const char* name, std::vector<hsize_t> shape, std::vector<hsize_t> chunk,
                      const std::function<void(hid_t properties)>& prepare) {
    H5Ldelete(file, name, H5P_DEFAULT);
    const hid_t properties = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(properties, static_cast<int>(chunk.size()), chunk.data());
    prepare(properties);
    const hid_t space = H5Screate_simple(static_cast<int>(shape.size()), shape.data(), nullptr);
    const hid_t dataset = H5Dcreate2(file, name, H5T_STD_U8LE, space, H5P_DEFAULT, properties, H5P_DEFAULT);
    ASSERT_GE(dataset, 0);
    std::vector<hsize_t> start(shape.size(), 0);
    H5Sselect_hyperslab(space, H5S_SELECT_SET, start.data(), nullptr, chunk.data(), nullptr);
    const hid_t memory = H5Screate_simple(static_cast<int>(chunk.size()), chunk.data(), nullptr);
    hsize_t elements = 1;
    for (const hsize_t length : chunk) elements *= length;
    const std::vector<std::uint8_t> zeros(elements);
    EXPECT_GE(H5Dwrite(dataset, H5T_STD_U8LE, memory, space, H5P_DEFAULT, zeros.data()), 0);
    for (const hid_t opened : {memory, space}) H5Sclose(opened);
    H5Dclose(dataset);
    H5Pclose(properties);
  }

  static void write_integers(hid_t file, const char* name, const std::vector<std::int64_t>& values) {
    const hid_t dataset = H5Dopen2(file, name, H5P_DEFAULT);
    EXPECT_GE(H5Dwrite(dataset, H5T_STD_I64LE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()), 0);
    H5Dclose(dataset);
  }

  static void write_text_attribute(hid_t file, const char* name, const std::string& text) {
    H5Adelete(file, name);
    const hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate(H5S_SCALAR);
    H5Tset_size(type, text.size());
    const hid_t attribute = H5Acreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    EXPECT_GE(H5Awrite(attribute, type, text.data()), 0);
    H5Aclose(attribute);
    H5Tclose(type);
    H5Sclose(space);
  }

  std::string open_error() const {
    return message_of<DataError>([&] { Store{path_}; });
  }

  const fs::path path_ = folder_ / "s.h5", shard_ = folder_ / "s.shards/00000.h5";
};

/// A virtual `was_colour` of seven rows from `source`; unlimited: as many as there are.
void redirect(hid_t file, const char* source, bool is_unlimited) {
  H5Ldelete(file, "was_colour", H5P_DEFAULT);
  const hsize_t length = 7, start = 0, most = is_unlimited ? H5S_UNLIMITED : length;
  const hid_t space = H5Screate_simple(1, &length, &most);
  H5Sselect_hyperslab(space, H5S_SELECT_SET, &start, nullptr, &most, nullptr);
  const hid_t properties = H5Pcreate(H5P_DATASET_CREATE);
  ASSERT_GE(H5Pset_virtual(properties, space, source, "was_colour", space), 0);
  const hid_t whole = H5Screate_simple(1, &length, &most);
  const hid_t dataset = H5Dcreate2(file, "was_colour", H5T_STD_U8LE, whole, H5P_DEFAULT, properties, H5P_DEFAULT);
  ASSERT_GE(dataset, 0);
  H5Dclose(dataset);
  for (const hid_t opened : {space, whole}) H5Sclose(opened);
  H5Pclose(properties);
}

TEST_F(CraftedStore, RowsComeFromItsOwnShardsOnly) {
  for (const char* source :
       {"/tmp/elsewhere.h5", "../s.h5", ".", "other.h5", "s.shards/../../x.h5", "../t.shards/00000.h5"}) {
    alter_view([&](hid_t file) { redirect(file, source, false); });
    EXPECT_THAT(open_error(), AllOf(HasSubstr(path_.string()), HasSubstr("was_colour"), HasSubstr("no shard")))
        << source;
  }
}

TEST_F(CraftedStore, SourcesThatHdf5WouldOpenToLearnTheirLengthAreRefused) {
  alter_view([&](hid_t file) { redirect(file, "s.shards/00000.h5", true); });
  EXPECT_THAT(open_error(), AllOf(HasSubstr("was_colour"), HasSubstr("without a fixed length")));
}

TEST_F(CraftedStore, PixelsThatInflateAThousandfoldAreNotReadBeforeTheyFitTheirImage) {
  alter_shard([](hid_t file) {
    replace(file, "pixels", {hsize_t{1} << 34}, {16 << 20}, [](hid_t properties) {
      H5Pset_deflate(properties, 9);
      H5Pset_fletcher32(properties);
    });
    // Enough is stored for HDF5 to believe it: 16 MiB of zeros in 16 KiB, many times.
    write_integers(file, "pixels_length", {std::int64_t{1} << 24, 0, 0, 0});
  });
  const std::string message = message_of<DataError>([&] { ingest::ExemplarStore(path_).record(0); });
  EXPECT_THAT(message, AllOf(HasSubstr(folder_.string()), HasSubstr("pixels")));
}

TEST_F(CraftedStore, AnImageMayNotBeLargerThanItsRowSays) {
  alter_shard([](hid_t file) {
    replace(file, "pixels", {16 << 20}, {16 << 20}, [](hid_t properties) {
      H5Pset_deflate(properties, 9);
      H5Pset_fletcher32(properties);
    });
    write_integers(file, "pixels_length", {16 << 20, 0, 0, 0});
  });
  const ingest::ExemplarStore store(path_);
  EXPECT_THAT(message_of<DataError>([&] { store.record(0); }), HasSubstr("16777216 bytes where its size needs 6"));
}

TEST_F(CraftedStore, OnlyImagesMayBeCompressed) {
  alter_shard([](hid_t file) {
    replace(file, "was_colour", {4}, {4}, [](hid_t properties) {
      H5Pset_deflate(properties, 9);
      H5Pset_fletcher32(properties);
    });
  });
  const Store store(path_);
  EXPECT_THAT(message_of<DataError>([&] { store.read("was_colour"); }), HasSubstr("is compressed"));
}

TEST_F(CraftedStore, FiltersThatAreNotOursAreRefused) {
  for (const bool is_shuffled : {true, false}) {
    alter_shard([&](hid_t file) {
      replace(file, "was_colour", {4}, {4}, [&](hid_t properties) {
        if (is_shuffled) H5Pset_shuffle(properties);
        if (!is_shuffled) H5Pset_nbit(properties);
        H5Pset_fletcher32(properties);
      });
    });
    const Store store(path_);
    EXPECT_THAT(message_of<DataError>([&] { store.read("was_colour"); }), HasSubstr("does not use")) << is_shuffled;
  }
}

TEST_F(CraftedStore, ADataSetThatClaimsMoreThanIsStoredTakesNoMemory) {
  alter_shard([](hid_t file) {
    replace(file, "was_colour", {hsize_t{1} << 36}, {1 << 20}, [](hid_t properties) { H5Pset_fletcher32(properties); });
  });
  const Store store(path_);
  EXPECT_THAT(message_of<DataError>([&] { store.read("was_colour"); }), HasSubstr("claims 68719476736 bytes"));
}

TEST_F(CraftedStore, RowLengthsThatOverflowAreRefusedByName) {
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  for (const auto& lengths :
       {std::vector<std::int64_t>{kMost, kMost, kMost, kMost}, {-1, 1, 0, 0}, {1 << 20, 0, 0, 0}}) {
    alter_shard([&](hid_t file) { write_integers(file, "pixels_length", lengths); });
    const Store store(path_);
    EXPECT_THAT(message_of<DataError>([&] { store.read("pixels"); }), HasSubstr(shard_.string()));
    EXPECT_THAT(message_of<DataError>([&] { row_lengths(store, "pixels", 0, 4); }), HasSubstr(shard_.string()));
    EXPECT_THAT(store.validate(), AllOf(::testing::Not(::testing::IsEmpty()), Each(HasSubstr(folder_.string()))));
    // And by the writer that finds such a shard of an earlier run.
    fs::remove(path_);
    EXPECT_THAT(message_of<DataError>([&] { StoreWriter(path_, sample_header(), 3, true).finish(); }),
                HasSubstr(shard_.string()));
    fs::remove_all(folder_ / "s.shards");
    write_sample(path_);
  }
}

TEST_F(CraftedStore, ParametersNestedTooDeepAreRefusedBeforeAnyoneCopiesThem) {
  for (const std::size_t levels : {100U, 30'000U}) {
    alter_view([&](hid_t file) {
      write_text_attribute(file, "parameters", std::string(levels, '[') + std::string(levels, ']'));
    });
    EXPECT_THAT(open_error(), AllOf(HasSubstr(path_.string()), HasSubstr("parameters")));
  }
}

TEST_F(CraftedStore, MetadataNestedTooDeepIsRefusedNamingTheImage) {
  const std::string deep(8000, '[');
  alter_shard([&](hid_t file) {
    replace(file, "metadata", {8000}, {8000}, [](hid_t properties) { H5Pset_fletcher32(properties); });
    const hid_t dataset = H5Dopen2(file, "metadata", H5P_DEFAULT);
    H5Dwrite(dataset, H5T_STD_U8LE, H5S_ALL, H5S_ALL, H5P_DEFAULT, deep.data());
    H5Dclose(dataset);
    write_integers(file, "metadata_length", {8000, 0, 0, 0});
  });
  const ingest::ExemplarStore store(path_);
  EXPECT_THAT(message_of<DataError>([&] { store.record(0); }), AllOf(HasSubstr("metadata"), HasSubstr("Sohle-ü-0")));
}

TEST_F(CraftedStore, ALinkInPlaceOfAHalfWrittenFileIsNotFollowed) {
  const fs::path precious = folder_ / "precious";
  write_text(precious, "kept");
  fs::create_directories(folder_ / "t.shards");
  fs::create_symlink(precious, folder_ / "t.shards/00000.h5.part");
  fs::create_symlink(precious, folder_ / "t.h5.part");
  {
    StoreWriter writer(folder_ / "t.h5", sample_header(), 1, true);
    writer.write_unit(0, sample_images(0, 2));
    writer.finish();
  }
  EXPECT_EQ(read_text_file(precious), "kept");
  EXPECT_EQ(Store(folder_ / "t.h5").rows(), 2);
}

}  // namespace
}  // namespace outsole::store
