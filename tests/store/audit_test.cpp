#include "store/audit.h"

#include <gmock/gmock.h>

#include "core/provenance.h"
#include "sample_store.h"

namespace outsole::store {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class AuditTest : public StoreTest {
 protected:
  Audit audit_all() {
    told_.clear();
    return audit({folder_}, [&](const fs::path& file, const std::vector<std::string>& complaints) {
      told_[file.filename().string()] = complaints;
    });
  }

  std::map<std::string, std::vector<std::string>> told_;  // of each file, what is wrong with it
};

TEST_F(AuditTest, ASoundStoreWithItsProvenanceHasNothingAgainstIt) {
  write_sample(folder_ / "a.h5");
  write_provenance(folder_ / "a.h5", {"outsole"}, 1, {});
  const Audit found = audit_all();
  EXPECT_EQ(found.files, 1U);
  EXPECT_EQ(found.complaints, 0U);
  EXPECT_THAT(found.leftovers, IsEmpty());
  EXPECT_THAT(found.notes, IsEmpty());
  EXPECT_THAT(told_.at("a.h5"), IsEmpty());
}

TEST_F(AuditTest, ALackOfProvenanceIsNotedAndDamageIsNamed) {
  write_sample(folder_ / "a.h5");
  write_sample(folder_ / "b.h5");
  fs::remove(folder_ / "b.shards/00002.h5");
  write_text(folder_ / "c.part", "");
  const Audit found = audit_all();
  EXPECT_EQ(found.files, 2U);
  EXPECT_GT(found.complaints, 0U);
  EXPECT_THAT(found.notes, ElementsAre(HasSubstr("a.provenance.json")));
  EXPECT_THAT(found.leftovers, ElementsAre(HasSubstr("c.part")));
  EXPECT_THAT(told_.at("a.h5"), IsEmpty());
  ASSERT_EQ(told_.at("b.h5").size(), found.complaints);
  EXPECT_THAT(told_.at("b.h5").front(), HasSubstr("00002.h5"));
}

TEST_F(AuditTest, ThePlanCountsTheShards) {
  write_sample(folder_ / "a.h5");
  const machine::Plan plan = audit_plan({folder_});
  EXPECT_GT(plan.work.read_bytes,
            static_cast<double>(fs::file_size(folder_ / "a.h5") + fs::file_size(folder_ / "a.shards/00000.h5")));
  EXPECT_TRUE(plan.knows_time());
}

}  // namespace
}  // namespace outsole::store
