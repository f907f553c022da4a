#include "wear/scan_images.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

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

  /// Unmoved.
  static std::vector<ShownScan> shown(const std::vector<std::int64_t>& indices) {
    std::vector<ShownScan> scans;
    for (const std::int64_t index : indices) scans.push_back({index, {}});
    return scans;
  }

  std::vector<wear::PreparedInfo> infos_;
};

TEST_F(ScanImagesTest, GiveScansInTheOrderAskedForRepetitionsIncluded) {
  const wear::PreparedStore scans(folder_ / "scans.h5");
  ScanImages images(scans, std::int64_t{1} << 30);
  for (const std::vector<std::int64_t>& indices : {std::vector<std::int64_t>{6, 0, 3, 0}, {}, {5, 4, 6}}) {
    expect_batch(images.batch(shown(indices)), indices);
  }
}

TEST_F(ScanImagesTest, AreTheSameWhateverTheMemoryAndThePrefetching) {
  const wear::PreparedStore scans(folder_ / "scans.h5");
  constexpr std::int64_t kScanBytes = std::int64_t{2} * 32 * 40;
  for (const std::int64_t memory_bytes : {std::int64_t{0}, 3 * kScanBytes, 100 * kScanBytes}) {
    ScanImages images(scans, memory_bytes);
    const std::vector<std::vector<std::int64_t>> batches{{0, 1}, {2, 3}, {1, 4}, {6, 5}, {0, 6}, {2, 2}};
    for (std::size_t i = 0; i < batches.size(); ++i) {
      expect_batch(images.batch(shown(batches[i])), batches[i]);
      if (i + 1 < batches.size()) images.prefetch(shown(batches[i + 1]));
    }
    images.prefetch(shown({1, 3}));  // and never asked for
  }
}

TEST_F(ScanImagesTest, AreMirroredThenMovedAndNothingIsKnownOfWhatCameIn) {
  const wear::PreparedStore scans(folder_ / "scans.h5");
  ScanImages images(scans, 0);
  const ScanBatch still = images.batch(shown({3}));
  for (const Movement& movement :
       {Movement{2, -3, false}, Movement{-5, 1, true}, Movement{0, 0, true}, Movement{40, 0}}) {
    const ScanBatch moved = images.batch(std::vector<ShownScan>{{3, movement}});
    for (std::int64_t y = 0; y < 32; ++y) {
      for (std::int64_t x = 0; x < 40; ++x) {
        const std::int64_t from_y = y - movement.down_px;
        std::int64_t from_x = x - movement.right_px;
        const bool came_in = from_y < 0 || from_y >= 32 || from_x < 0 || from_x >= 40;
        if (movement.is_mirrored) from_x = 39 - from_x;
        const auto expected = [&](const at::Tensor& values, float outside) {
          return came_in ? outside : values[0][0][from_y][from_x].item<float>();
        };
        ASSERT_EQ(moved.grey[0][0][y][x].item<float>(), expected(still.grey, 1));
        ASSERT_EQ(moved.known[0][0][y][x].item<float>(), expected(still.known, 0));
      }
    }
  }
}

TEST_F(ScanImagesTest, AreTheSameThroughBytes) {
  const wear::PreparedStore scans(folder_ / "scans.h5");
  ScanImages images(scans, 0, {-3, 30}), through_bytes(scans, 0, {-3, 30});
  const std::vector<ShownScan> wanted{{0, {}}, {6, {2, -3, true}}, {3, {-40, 0, false}}, {0, {1, 1, false}}};
  const ScanBatch expected = images.batch(wanted);
  const ScanBatch batch = on_device(through_bytes.byte_batch(wanted, at::kCPU), at::kCPU);
  EXPECT_TRUE(at::equal(batch.grey, expected.grey));
  EXPECT_TRUE(at::equal(batch.known, expected.known));
}

TEST_F(ScanImagesTest, OfSomeRowsAreThoseRowsOfWholeImagesHoweverTheyAreMoved) {
  testing::write_prepared(folder_ / "tall.h5", std::span(infos_).first(3), 67, 43);
  wear::PreparedStore scans(folder_ / "tall.h5");
  const std::vector<ShownScan> shown{
      {0, {}}, {1, {3, -2, true}}, {1, {-9, 4, false}}, {2, {70, 0, true}}, {2, {-1, 0, true}}, {0, {12, 50, false}}};
  for (const ShownSize size : {ShownSize{67, 43}, ShownSize{40, 20}, ShownSize{33, 43}, ShownSize{67, 1}}) {
    scans.show_at(size);
    const ScanBatch whole = ScanImages(scans, 0).batch(shown);
    for (const comm::UnitRange rows : {comm::UnitRange{0, 11}, comm::UnitRange{11, 12},
                                       comm::UnitRange{12, size.height_px}, comm::UnitRange{7, 7}}) {
      for (const std::int64_t memory_bytes : {std::int64_t{0}, std::int64_t{1} << 30}) {
        ScanImages images(scans, memory_bytes, rows);
        for (const ShownScan& scan : shown) images.prefetch(std::span(&scan, 1));
        for (int again = 0; again < 2; ++again) {
          const ScanBatch part = images.batch(shown);
          ASSERT_TRUE(part.grey.equal(whole.grey.slice(2, rows.begin, rows.end)));
          ASSERT_TRUE(part.known.equal(whole.known.slice(2, rows.begin, rows.end)));
        }
      }
    }
  }
}

TEST_F(ScanImagesTest, BeyondTheImageArePaperOfWhichNothingIsKnown) {
  const wear::PreparedStore scans(folder_ / "scans.h5");
  const ScanBatch whole = ScanImages(scans, 0).batch(shown({2}));
  const ScanBatch beyond = ScanImages(scans, 0, {-3, 40}).batch(shown({2}));
  EXPECT_TRUE(beyond.grey.slice(2, 3, 35).equal(whole.grey));
  for (const auto& [begin, end] : {std::pair{0, 3}, std::pair{35, 43}}) {
    EXPECT_TRUE(beyond.grey.slice(2, begin, end).eq(1).all().item<bool>());
    EXPECT_TRUE(beyond.known.slice(2, begin, end).eq(0).all().item<bool>());
  }
  const ScanBatch outside = ScanImages(scans, 0, {32, 64}).batch(shown({2}));
  EXPECT_TRUE(outside.grey.eq(1).all().item<bool>());
}

TEST_F(ScanImagesTest, ReadTheRowsThatAreShownAndNoOthers) {
  wear::PreparedStore scans(folder_ / "scans.h5");
  ScanImages slab(scans, std::int64_t{1} << 30, {8, 16});
  slab.batch(shown({1, 3, 1}));
  EXPECT_EQ(slab.bytes_read(), 2 * 2 * 8 * 40);
  slab.batch(shown({3}));
  EXPECT_EQ(slab.bytes_read(), 2 * 2 * 8 * 40) << "kept ones are not read again";
  slab.batch(std::vector<ShownScan>{{5, {2, 0, false}}});
  EXPECT_EQ(slab.bytes_read(), 3 * 2 * 8 * 40) << "moved ones come from other rows";
  scans.show_at({16, 40});
  ScanImages small(scans, std::int64_t{1} << 30, {4, 8});
  small.batch(shown({0}));
  EXPECT_EQ(small.bytes_read(), 2 * 8 * 40);
}

TEST_F(ScanImagesTest, LargerThanStoredAreABug) {
  wear::PreparedStore scans(folder_ / "scans.h5");
  EXPECT_THROW(scans.show_at({33, 40}), Bug);
  EXPECT_THROW(scans.show_at({32, 41}), Bug);
  EXPECT_THROW(scans.show_at({0, 40}), Bug);
}

TEST_F(ScanImagesTest, AreThoseOfTheRecords) {
  wear::PreparedStore scans(folder_ / "scans.h5");
  scans.show_at({13, 20});
  const ScanBatch batch = ScanImages(scans, 0).batch(shown({4}));
  const PreparedRecord record = scans.record(4);
  ASSERT_EQ(record.pixels.size(), 13U * 20U);
  for (std::size_t i = 0; i < record.pixels.size(); ++i) {
    ASSERT_EQ(batch.grey.data_ptr<float>()[i], static_cast<float>(record.pixels[i]) / 255.0F);
    ASSERT_EQ(batch.known.data_ptr<float>()[i], record.support[i] == 0 ? 0.0F : 1.0F);
  }
}

TEST_F(ScanImagesTest, ReducedAreReadInPiecesWithTheSameResult) {
  const auto two = std::span(infos_).first(2);
  constexpr std::int64_t kHeight = 5000, kWidth = 1600, kShownHeight = 700, kShownWidth = 90;  // several pieces, chunks
  testing::write_prepared(folder_ / "large.h5", two, kHeight, kWidth);
  wear::PreparedStore scans(folder_ / "large.h5");
  scans.show_at({kShownHeight, kShownWidth});
  const ScanBatch batch = ScanImages(scans, 0).batch(shown({1}));
  const auto record = testing::worn_bars(infos_[1], kHeight, kWidth);
  std::vector<std::uint8_t> grey(kShownHeight * kShownWidth), known(grey.size());
  reduce_rows({kHeight, kWidth}, {kShownHeight, kShownWidth}, {0, kShownHeight}, record.pixels, record.support, grey,
              known);
  KnownPixels expected;
  for (std::size_t i = 0; i < grey.size(); ++i) {
    ASSERT_EQ(batch.grey.data_ptr<float>()[i], static_cast<float>(grey[i]) / 255.0F);
    ASSERT_EQ(batch.known.data_ptr<float>()[i], known[i] == 0 ? 0.0F : 1.0F);
    if (known[i] == 0) continue;
    ++expected.count;
    expected.grey_sum += grey[i] / 255.0;
  }
  const KnownPixels sums = sum_known_pixels(scans, 1, 1).front();
  EXPECT_EQ(sums.count, expected.count);
  EXPECT_EQ(sums.grey_sum, expected.grey_sum);
}

TEST_F(ScanImagesTest, KnowWhatTheScannerSaw) {
  const wear::PreparedStore scans(folder_ / "scans.h5");
  const auto sums = sum_known_pixels(scans, 2, 3);
  ASSERT_EQ(sums.size(), 3U);
  for (std::size_t i = 0; i < sums.size(); ++i) {
    const auto record = testing::worn_bars(infos_[2 + i], 32, 40);
    double grey = 0, square = 0;
    for (std::size_t pixel = 0; pixel < record.pixels.size(); ++pixel) {
      if (record.support[pixel] == 0) continue;
      grey += record.pixels[pixel] / 255.0;
      square += record.pixels[pixel] * record.pixels[pixel] / (255.0 * 255.0);
    }
    EXPECT_EQ(sums[i].count, 32 * 40 - 4 * 4);
    EXPECT_NEAR(sums[i].grey_sum, grey, 1e-9 * grey);
    EXPECT_NEAR(sums[i].square_sum, square, 1e-9 * square);
  }
  EXPECT_TRUE(sum_known_pixels(scans, 7, 0).empty());
}

TEST_F(ScanImagesTest, OfAScanThatIsNotThereAreABug) {
  const wear::PreparedStore scans(folder_ / "scans.h5");
  ScanImages images(scans, 0);
  EXPECT_THROW(images.batch(shown({7})), Bug);
  EXPECT_THROW(images.prefetch(shown({-1})), Bug);
}

TEST_F(ScanImagesTest, OfADamagedStoreNameTheShard) {
  const auto shard = folder_ / "scans.shards" / "00001.h5";
  const wear::PreparedStore scans(folder_ / "scans.h5");
  ScanImages images(scans, 0);
  images.prefetch(shown({0}));
  std::filesystem::resize_file(shard, 100);
  try {
    images.batch(shown({0, 6}));
    FAIL() << "a truncated shard was read";
  } catch (const DataError& error) {
    EXPECT_NE(std::string(error.what()).find("00001.h5"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace outsole::wear
