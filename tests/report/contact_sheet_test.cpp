#include "report/contact_sheet.h"

#include <gtest/gtest.h>

#include "core/errors.h"
#include "ingest/exemplars.h"
#include "ingest/scans.h"
#include "report/agreement.h"
#include "temporary_folder.h"
#include "wear/prepared.h"

namespace outsole::report {
namespace {

class ContactSheetOf : public outsole::testing::TemporaryFolder {
 protected:
  std::filesystem::path save(const std::string& schema, const store::Columns& columns, int version = 1) const {
    const std::filesystem::path path = folder_ / (schema + ".h5");
    store::StoreWriter writer(path, {schema, version, {{"dpi", 50.8}, {"scan_dpi", 50.8}}}, 1, /*create_folder=*/true);
    writer.write_unit(0, columns);
    writer.finish();
    return path;
  }

  static std::vector<wear::PreparedRecord> prepared(const std::vector<cv::Mat1b>& images) {
    std::vector<wear::PreparedRecord> records;
    for (const cv::Mat1b& image : images) {
      wear::PreparedRecord record;
      record.info.id = std::to_string(records.size());
      record.info.subject = {"s", "p", "L", static_cast<double>(records.size() / 2)};
      record.info.window_height_px = image.rows;
      record.info.window_width_px = image.cols;
      record.info.source_sha256 = std::string(64, 'a');
      record.pixels.assign(image.data, image.data + image.total());
      record.support.assign(image.total(), 255);
      records.push_back(record);
    }
    return records;
  }
};

TEST_F(ContactSheetOf, ExemplarsShowsEachOnItsPlace) {
  std::vector<ingest::ExemplarRecord> records;
  for (int i = 0; i < 15; ++i) {
    ingest::ExemplarRecord record;
    record.id = std::to_string(i);
    record.height_px = 240;
    record.width_px = 130;
    record.source_sha256 = std::string(64, 'a');
    record.pixels.assign(240 * 130, static_cast<std::uint8_t>(10 * i));
    records.push_back(record);
  }
  const auto path = save(ingest::kExemplarsSchema, ingest::exemplar_columns(records), ingest::kExemplarsVersion);
  const ContactSheet sheet = contact_sheet(path);
  EXPECT_EQ(sheet.shown, 15);
  EXPECT_EQ(sheet.picture(8 + 120, 8 + 65), cv::Vec3b(0, 0, 0));
  EXPECT_EQ(sheet.picture(8 + 120, 8 + 138 * 2 + 65), cv::Vec3b(20, 20, 20));
  EXPECT_EQ(contact_sheet(path, 5).shown, 5);
}

TEST_F(ContactSheetOf, PreparedScansShowsWhatIsUnknown) {
  auto records = prepared({cv::Mat1b(240, 130, uchar{255})});
  std::fill_n(records[0].support.begin(), 130 * 100, std::uint8_t{0});
  const ContactSheet sheet =
      contact_sheet(save(wear::kPreparedSchema, wear::prepared_columns(records, 240, 130), wear::kPreparedVersion));
  EXPECT_NE(sheet.picture(8 + 50, 8 + 65), cv::Vec3b(255, 255, 255));
  EXPECT_EQ(sheet.picture(8 + 150, 8 + 65), cv::Vec3b(255, 255, 255));
}

TEST_F(ContactSheetOf, AnEmptyStoreIsRefused) {
  EXPECT_THROW(contact_sheet(save(ingest::kScansSchema, ingest::scan_columns({}))), DataError);
}

TEST_F(ContactSheetOf, AgreementIsTheCorrelationOfScansBeforeAndAfter) {
  cv::Mat1b pattern(60, 40), inverse;
  cv::RNG(1).fill(pattern, cv::RNG::UNIFORM, 0, 256);
  inverse = 255 - pattern;
  const auto after = prepared({pattern, pattern, inverse});
  std::vector<ingest::ScanRecord> scans;
  for (const cv::Mat1b& image : {pattern, inverse, inverse}) {
    ingest::ScanRecord record;
    record.id = std::to_string(scans.size());
    record.height_px = 60;
    record.width_px = 40;
    record.dpi = 50.8;
    record.subject = after[scans.size()].info.subject;
    record.source_sha256 = std::string(64, 'a');
    record.pixels.assign(image.data, image.data + image.total());
    scans.push_back(record);
  }
  const auto pairs =
      scan_agreement(save(ingest::kScansSchema, ingest::scan_columns(scans)),
                     save(wear::kPreparedSchema, wear::prepared_columns(after, 60, 40), wear::kPreparedVersion));
  ASSERT_EQ(pairs.size(), 3u);
  EXPECT_NEAR(pairs[0].before, -1, 1e-4);
  EXPECT_NEAR(pairs[0].after, 1, 1e-4);
  EXPECT_EQ(pairs[0].weeks_apart, 0);
  EXPECT_NEAR(pairs[1].after, -1, 1e-4);
  EXPECT_EQ(pairs[1].weeks_apart, 1);
  EXPECT_EQ(agreement_csv(pairs).substr(0, 43), "shoe,first,second,weeks_apart,before,after\n");
  EXPECT_FALSE(agreement_picture(pairs).empty());
}

}  // namespace
}  // namespace outsole::report
