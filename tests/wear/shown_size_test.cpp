#include "wear/shown_size.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "core/errors.h"
#include "message_of.h"

namespace outsole::wear {
namespace {

using outsole::testing::message_of;
using ::testing::AllOf;
using ::testing::HasSubstr;
using Bytes = std::vector<std::uint8_t>;

struct Image {
  ShownSize size;
  Bytes grey, known;
};

Image noise(ShownSize size, double known_share) {
  std::mt19937 generator(5);
  Image image{size, {}, {}};
  for (std::int64_t i = 0; i < size.height_px * size.width_px; ++i) {
    image.grey.push_back(static_cast<std::uint8_t>(generator() % 256));
    image.known.push_back(generator() % 1000 < 1000 * known_share ? 255 : 0);
  }
  return image;
}

Image reduced(const Image& image, ShownSize size, comm::UnitRange rows) {
  const comm::UnitRange covered = covered_rows(rows, image.size.height_px, size.height_px);
  const auto from = static_cast<std::size_t>(covered.begin * image.size.width_px);
  const auto count = static_cast<std::size_t>(covered.size() * image.size.width_px);
  Image result{{rows.size(), size.width_px}, {}, {}};
  result.grey.resize(static_cast<std::size_t>(rows.size() * size.width_px));
  result.known.resize(result.grey.size());
  reduce_rows(image.size, size, rows, std::span(image.grey).subspan(from, count),
              std::span(image.known).subspan(from, count), result.grey, result.known);
  return result;
}

/// The length of the part that two intervals have in common.
double common(double a_begin, double a_end, double b_begin, double b_end) {
  return std::max(0.0, std::min(a_end, b_end) - std::max(a_begin, b_begin));
}

/// Every stored pixel's part in a shown one, in double precision.
void expect_area_means(const Image& image, ShownSize size) {
  const Image result = reduced(image, size, {0, size.height_px});
  const double down = static_cast<double>(image.size.height_px) / static_cast<double>(size.height_px);
  const double right = static_cast<double>(image.size.width_px) / static_cast<double>(size.width_px);
  for (std::int64_t y = 0; y < size.height_px; ++y) {
    for (std::int64_t x = 0; x < size.width_px; ++x) {
      double known = 0, grey = 0;
      for (std::int64_t row = 0; row < image.size.height_px; ++row) {
        for (std::int64_t column = 0; column < image.size.width_px; ++column) {
          const auto at = static_cast<std::size_t>(row * image.size.width_px + column);
          if (image.known[at] == 0) continue;
          const auto dy = static_cast<double>(y), dx = static_cast<double>(x), r = static_cast<double>(row),
                     c = static_cast<double>(column);
          const double area =
              common(dy * down, (dy + 1) * down, r, r + 1) * common(dx * right, (dx + 1) * right, c, c + 1);
          known += area;
          grey += area * image.grey[at];
        }
      }
      const auto at = static_cast<std::size_t>(y * size.width_px + x);
      const double share = known / (down * right);
      if (std::abs(share - 0.5) > 1e-9) {
        ASSERT_EQ(result.known[at], share > 0.5 ? 255 : 0) << share;
      }
      if (result.known[at] == 0) {
        ASSERT_EQ(result.grey[at], 255);
      } else {
        ASSERT_NEAR(result.grey[at], grey / known, 0.5 + 1e-9);
      }
    }
  }
}

TEST(ShownSize, IsTheMeanOfTheKnownPartOfEachPixelsArea) {
  for (const ShownSize size :
       {ShownSize{23, 17}, ShownSize{12, 17}, ShownSize{23, 5}, ShownSize{7, 6}, ShownSize{1, 1}, ShownSize{22, 16}}) {
    for (const double share : {1.0, 0.6, 0.5, 0.1, 0.0}) expect_area_means(noise({23, 17}, share), size);
  }
}

TEST(ShownSize, RowsDependOnNothingButTheirOwn) {
  const Image image = noise({101, 37}, 0.7);
  const ShownSize size{43, 21};
  const Image whole = reduced(image, size, {0, size.height_px});
  for (std::int64_t begin = 0; begin < size.height_px; ++begin) {
    for (const std::int64_t end : {begin + 1, begin + 5, size.height_px}) {
      if (end > size.height_px) continue;
      const Image part = reduced(image, size, {begin, end});
      ASSERT_TRUE(std::ranges::equal(
          part.grey, std::span(whole.grey).subspan(static_cast<std::size_t>(begin * size.width_px), part.grey.size())));
      ASSERT_TRUE(std::ranges::equal(
          part.known,
          std::span(whole.known).subspan(static_cast<std::size_t>(begin * size.width_px), part.known.size())));
    }
  }
}

TEST(ShownSize, OfTheStoredSizeIsTheImage) {
  const Image image = noise({11, 9}, 0.5), same = reduced(image, image.size, {0, 11});
  EXPECT_EQ(same.known, image.known);
  for (std::size_t i = 0; i < image.grey.size(); ++i) {
    EXPECT_EQ(same.grey[i], image.known[i] == 0 ? 255 : image.grey[i]);
  }
}

TEST(ShownSize, CoversRowsThatShareAnyPart) {
  const auto expect = [](comm::UnitRange shown, comm::UnitRange stored) {
    const comm::UnitRange rows = covered_rows(shown, 13750, 640);
    EXPECT_EQ(std::pair(rows.begin, rows.end), std::pair(stored.begin, stored.end));
  };
  expect({0, 640}, {0, 13750});
  expect({0, 1}, {0, 22});
  expect({1, 2}, {21, 43});
  expect({3, 3}, {0, 0});
}

TEST(ShownSize, LargerThanTheStoredOneOrOfAnotherShapeIsRefusedWithTheWayOut) {
  const auto refusal = [](ShownSize size) {
    return message_of<UsageError>([&] { require_reducible({13750, 5500}, size, "prepared.h5"); });
  };
  for (const ShownSize size : {ShownSize{13750, 5500}, ShownSize{640, 256}, ShownSize{99, 40}, ShownSize{32, 13}}) {
    EXPECT_NO_THROW(require_reducible({13750, 5500}, size, "prepared.h5"));
  }
  EXPECT_THAT(refusal({13751, 5500}), AllOf(HasSubstr("prepared.h5"), HasSubstr("prepare them by --size 13751x5500")));
  EXPECT_THAT(refusal({640, 5501}), HasSubstr("cannot be shown at 640x5501"));
  EXPECT_THAT(refusal({640, 320}), AllOf(HasSubstr("another shape than 640x320"), HasSubstr("640x256 has theirs")));
}

TEST(ShownSize, LargerThanTheImageIsABug) {
  const Image image = noise({11, 9}, 1);
  EXPECT_THROW(reduced(image, {12, 9}, {0, 1}), Bug);
  EXPECT_THROW(reduced(image, {11, 10}, {0, 1}), Bug);
}

}  // namespace
}  // namespace outsole::wear
