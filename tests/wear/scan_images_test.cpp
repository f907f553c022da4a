#include "wear/scan_images.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "core/errors.h"
#include "prepared_fixture.h"
#include "temporary_folder.h"

namespace outsole::wear {
namespace {

class ScanImagesTest : public outsole::testing::TemporaryFolder {
 protected:
  void SetUp() override {
    TemporaryFolder::SetUp();
    for (int week = 0; week < 14; week += 2) infos_.push_back(testing::scan_of("shoe", week));
    testing::write_prepared(folder_ / "scans.h5", infos_);
  }

  /// What a batch must hold, by the definition.
  void expect_batch(const ScanBatch& batch, const std::vector<std::int64_t>& indices) const {
    ASSERT_EQ(batch.grey.sizes(), at::IntArrayRef({std::ssize(indices), 1, 32, 40}));
    ASSERT_EQ(batch.known.sizes(), batch.grey.sizes());
    for (std::size_t i = 0; i < indices.size(); ++i) {
      const auto record = testing::worn_bars(infos_[static_cast<std::size_t>(indices[i])], 32, 40);
      for (std::int64_t pixel = 0; pixel < 32 * 40; ++pixel) {
        const auto at = static_cast<std::size_t>(pixel);
        const float known = record.support[at] == 255 ? 1.0F : 0.0F;
        const float grey = known > 0 ? static_cast<float>(record.pixels[at]) / 255.0F : 1.0F;
        const auto offset = static_cast<std::int64_t>(i) * 32 * 40 + pixel;
        ASSERT_EQ(batch.known.data_ptr<float>()[offset], known);
        ASSERT_EQ(batch.grey.data_ptr<float>()[offset], grey);
      }
    }
  }

  std::vector<store::PreparedInfo> infos_;
};

TEST_F(ScanImagesTest, GiveScansInTheOrderAskedForRepetitionsIncluded) {
  const store::PreparedStore scans(folder_ / "scans.h5");
  ScanImages images(scans, std::int64_t{1} << 30);
  for (const std::vector<std::int64_t>& indices : {std::vector<std::int64_t>{6, 0, 3, 0}, {}, {5, 4, 6}}) {
    expect_batch(images.batch(indices), indices);
  }
}

TEST_F(ScanImagesTest, AreTheSameWhateverTheMemoryAndThePrefetching) {
  const store::PreparedStore scans(folder_ / "scans.h5");
  constexpr std::int64_t kScanBytes = std::int64_t{2} * 32 * 40;
  for (const std::int64_t memory_bytes : {std::int64_t{0}, 3 * kScanBytes, 100 * kScanBytes}) {
    ScanImages images(scans, memory_bytes);
    const std::vector<std::vector<std::int64_t>> batches{{0, 1}, {2, 3}, {1, 4}, {6, 5}, {0, 6}, {2, 2}};
    for (std::size_t i = 0; i < batches.size(); ++i) {
      expect_batch(images.batch(batches[i]), batches[i]);
      if (i + 1 < batches.size()) images.prefetch(batches[i + 1]);
    }
    images.prefetch(std::vector<std::int64_t>{1, 3});  // and never asked for
  }
}

TEST_F(ScanImagesTest, KnowHowManyPixelsTheScannerSaw) {
  const store::PreparedStore scans(folder_ / "scans.h5");
  EXPECT_EQ(count_known_pixels(scans, 2, 3), std::vector<std::int64_t>(3, 32 * 40 - 4 * 4));
  EXPECT_TRUE(count_known_pixels(scans, 7, 0).empty());
}

TEST_F(ScanImagesTest, OfAScanThatIsNotThereAreABug) {
  const store::PreparedStore scans(folder_ / "scans.h5");
  ScanImages images(scans, 0);
  EXPECT_THROW(images.batch(std::vector<std::int64_t>{7}), Bug);
  EXPECT_THROW(images.prefetch(std::vector<std::int64_t>{-1}), Bug);
}

TEST_F(ScanImagesTest, OfADamagedStoreNameTheShard) {
  const auto shard = folder_ / "scans.shards" / "00001.h5";
  const store::PreparedStore scans(folder_ / "scans.h5");
  ScanImages images(scans, 0);
  images.prefetch(std::vector<std::int64_t>{0});
  std::filesystem::resize_file(shard, 100);
  try {
    images.batch(std::vector<std::int64_t>{0, 6});
    FAIL() << "a truncated shard was read";
  } catch (const DataError& error) {
    EXPECT_NE(std::string(error.what()).find("00001.h5"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace outsole::wear
