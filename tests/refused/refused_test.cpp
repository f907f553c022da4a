// Every kind of bad input ends a job with the exit code of its cause and a message that names the culprit; nothing is
// left behind, and nothing hangs on several ranks. The jobs run one after another within the processes of this test:
// to start a process takes longer than to refuse. tests/jobs shows that the program itself ends so, too.

#include <gmock/gmock.h>

#include <algorithm>
#include <functional>
#include <opencv2/imgcodecs.hpp>
#include <set>

#include "../features/weights_fixture.h"
#include "../jobs/database.h"
#include "../jobs/run_here.h"
#include "../shared_folder.h"

namespace outsole::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

constexpr int kUsage = 2, kData = 3, kEnvironment = 4;

/// A command that must fail. The working folder holds what `prepare` puts there; BASE stands for the database's folder.
struct BadInput {
  std::string name;
  int exit_code;
  std::string culprit;  // the message must hold it
  std::string command;  // words after `outsole`
  std::function<void(const fs::path& folder)> prepare = [](const fs::path&) {};
};

void PrintTo(const BadInput& bad, std::ostream* stream) { *stream << bad.command; }

// --- Making things bad ----------------------------------------------------------------------------------------------

using Prepare = std::function<void(const fs::path&)>;

Prepare file(const std::string& name, const std::string& bytes) {
  return [=](const fs::path& folder) {
    fs::create_directories((folder / name).parent_path());
    write_bytes(folder / name, bytes);
  };
}

Prepare image(const std::string& name, int height_px = 40, int width_px = 30) {
  return [=](const fs::path& folder) {
    fs::create_directories((folder / name).parent_path());
    cv::Mat pixels(height_px, width_px, CV_8UC1);
    cv::RNG(1).fill(pixels, cv::RNG::UNIFORM, 0, 256);
    cv::imwrite((folder / name).string(), pixels);
  };
}

Prepare all(const std::vector<Prepare>& steps) {
  return [=](const fs::path& folder) {
    for (const Prepare& step : steps) step(folder);
  };
}

/// The file's bytes after `change`.
Prepare changed(const std::string& name, const std::function<void(std::string& bytes)>& change) {
  return [=](const fs::path& folder) {
    std::string bytes = read_bytes(folder / name);
    change(bytes);
    write_bytes(folder / name, bytes);
  };
}

Prepare halved(const std::string& name) {
  return changed(name, [](std::string& bytes) { bytes.resize(bytes.size() / 2); });
}

Prepare flipped(const std::string& name) {
  return changed(name, [](std::string& bytes) { bytes[bytes.size() / 2] ^= 0x10; });
}

/// A copy of a store of the database.
Prepare store(const std::string& name) {
  return [=](const fs::path& folder) {
    fs::create_directories((folder / name).parent_path());
    fs::copy_file(Database::folder() / (name + ".h5"), folder / (name + ".h5"));
    fs::copy(Database::folder() / (name + ".shards"), folder / (name + ".shards"));
  };
}

Prepare removed(const std::string& name) {
  return [=](const fs::path& folder) { fs::remove(folder / name); };
}

Prepare swapped(const std::string& a, const std::string& b) {
  return [=](const fs::path& folder) {
    fs::rename(folder / a, folder / "aside");
    fs::rename(folder / b, folder / a);
    fs::rename(folder / "aside", folder / b);
  };
}

using Tensors = std::vector<features::NamedTensor>;

Prepare weights(const std::function<void(Tensors&)>& change) {
  return [=](const fs::path& folder) {
    Tensors tensors = features::random_resnet50(1, 0, 0);
    change(tensors);
    features::write_safetensors(folder / "w.safetensors", tensors);
  };
}

features::NamedTensor& tensor(Tensors& tensors, const std::string& name) {
  return *std::find_if(tensors.begin(), tensors.end(), [&](const auto& t) { return t.name == name; });
}

/// The header says of the first tensor that it lies elsewhere; as long as the true text, so that nothing else moves.
void lie_about_offsets(std::string& bytes) {
  const std::string key = "\"data_offsets\":[0,";
  const std::size_t begin = bytes.find(key) + key.size();
  bytes[begin] = '9';
}

// --- The kinds ------------------------------------------------------------------------------------------------------

const std::string kIngest = "ingest --kind exemplars --output out.h5 --input ";
const std::string kIndex = "index --output out.h5 --exemplars ";
const std::string kResNet = "index --output out.h5 --exemplars BASE/exemplars.h5 --extractor resnet50:res2a ";
const std::string kSearch = "search --output out.h5 --csv out.csv --index BASE/index.h5 --marks BASE/marks ";
const std::string kSearchMarks =
    "search --strict --output out.h5 --index BASE/index.h5 --angles-deg 0 --stride-px 4 --marks ";
const std::string kSearchIndex = "search --output out.h5 --marks BASE/marks --angles-deg 0 --stride-px 4 --index ";
const std::string kIngestScans =
    "ingest --kind scans --output out.h5 --input BASE/images/00001.png BASE/images/00002.png --manifest ";
const std::string kPrepare = "prepare --output out.h5 --scans ";
const std::string kTrain = "train --task prediction --threads 1 --output out --scans ";
const std::string kPredict = "predict --threads 1 --output out --weeks 8 --input BASE/small.h5 --model ";
const std::string kPredictWith = "predict --threads 1 --output out --model BASE/run/model.h5 ";
const std::string kEvaluateWear = "evaluate wear --output out.json --threads 1 ";
const std::string kEvaluate = "evaluate retrieval --output out.json --results BASE/results.h5 --labels ";

std::vector<BadInput> bad_images() {
  const Prepare huge = all({image("huge.png"), changed("huge.png", [](std::string& bytes) {
                              for (const int side : {16, 20})
                                bytes.replace(static_cast<std::size_t>(side), 4, "\x7F\xFF\xFF\xFF");
                            })});
  return {
      {"EmptyImage", kData, "bad.png", kIngest + "bad.png", file("bad.png", "")},
      {"TruncatedPng", kData, "bad.png", kIngest + "bad.png", all({image("bad.png"), halved("bad.png")})},
      {"TruncatedJpeg", kData, "bad.jpg", kIngest + "bad.jpg", all({image("bad.jpg", 200, 200), halved("bad.jpg")})},
      {"TruncatedTiff", kData, "bad.tif", kIngest + "bad.tif", all({image("bad.tif", 200, 200), halved("bad.tif")})},
      {"DamagedPng", kData, "bad.png", kIngest + "bad.png", all({image("bad.png", 200, 200), flipped("bad.png")})},
      {"TextNamedAsImage", kData, "bad.png", kIngest + "bad.png", file("bad.png", "not an image, but some text")},
      {"AbsurdlyLargeImage", kData, "huge.png", kIngest + "huge.png", huge},
      {"ImageAboveTheLimit", kData, "a.png", kIngest + "a.png --max-pixels 1199", image("a.png")},
      {"NameThatWouldActOnATerminal", kData, "\\x1b[2Jbad.png", kIngest + "\x1b[2Jbad.png", image("\x1b[2Jbad.png")},
      {"FolderNamedAsImage", kData, "a.png", kIngest + "a.png",
       [](const fs::path& f) { fs::create_directory(f / "a.png"); }},
      {"AbsentImage", kData, "absent.png", kIngest + "absent.png"},
      {"FolderWithoutImages", kData, "none", kIngest + "none", file("none/read.me", "nothing")},
      {"OneBadImageAmongGoodOnesUnderStrict", kData, "b.png", kIngest + "in --strict",
       all({image("in/a.png"), file("in/b.png", "text"), image("in/c.png")})},
      {"TwoImagesOfOneId", kData, "'x'", kIngest + "a b", all({image("a/x.png"), image("b/x.jpg")})},
  };
}

std::vector<BadInput> bad_tables() {
  const auto manifest = [](const std::string& name, const std::string& culprit, const std::string& content,
                           const std::string& more = "") {
    return BadInput{name, kData, culprit, kIngest + "BASE/images --manifest m.csv" + more, file("m.csv", content)};
  };
  const auto labels = [](const std::string& name, const std::string& culprit, const std::string& content,
                         const std::string& more = "") {
    return BadInput{name, kData, culprit, kEvaluate + "l.csv" + more, file("l.csv", content)};
  };
  return {
      manifest("ManifestWithoutKeyColumn", "m.csv", "name,mirror\n00001.png,0\n"),
      manifest("RaggedTable", "m.csv, line 3", "file,mirror\n00001.png,0\n00002.png\n"),
      manifest("OpenQuote", "m.csv, line 2", "file,mirror\n\"00001.png,0\n"),
      manifest("TableWithNul", "m.csv", std::string("file,mirror\n00001\0.png,0\n", 25)),
      manifest("EmptyTable", "m.csv", ""),
      manifest("CarriageReturnInARow", "m.csv, line 2", "file,mirror\r\n00001.png\r,0\r\n"),
      manifest("TextBehindQuotes", "m.csv, line 2", "file,mirror\n\"00001\".png,0\n"),
      manifest("TableOfAMillionColumns", "m.csv, line 1: more than 4096", std::string(1 << 20, ',')),
      manifest("ColumnTwice", "'mirror'", "file,mirror,mirror\n00001.png,0,0\n"),
      manifest("MirrorNeitherZeroNorOne", "row 1", "file,mirror\n00001.png,left\n"),
      manifest("RowTwice", "00001.png", "file,mirror\n00001.png,0\n00001.png,1\n"),
      manifest("FilterOnUnknownColumn", "'weak'", "file,week\n00001.png,2\n", " --where weak=2"),
      manifest("RowWithoutFileUnderStrict", "99999.png", "file\n99999.png\n", " --strict"),
      labels("LabelsWithoutExemplars", "'exemplar'", "mark,shoe\nmark00001,00001\n"),
      labels("LabelOfUnknownExemplar", "'99999'", "mark,exemplar\nmark00001,99999\n"),
      labels("LabelsOfUnknownMarksOnly", "results.h5", "mark,exemplar\nmark99999,00001\n"),
      labels("AmbiguousId", "'007'", "mark,exemplar\nmark00001,007\n"),
      labels("UnknownGroupColumn", "'area'", "mark,exemplar\nmark00001,00001\n", " --group-column area"),
      {"AbsentLabels", kData, "absent.csv", kEvaluate + "absent.csv"},
  };
}

std::vector<BadInput> bad_weights() {
  const auto bad = [](const std::string& name, const std::string& culprit, const Prepare& prepare) {
    return BadInput{name, kData, culprit, kResNet + "--weights w.safetensors", prepare};
  };
  const auto sound = weights([](Tensors&) {});
  return {
      bad("TruncatedWeights", "w.safetensors", all({sound, halved("w.safetensors")})),
      bad("EmptyWeights", "w.safetensors", file("w.safetensors", "")),
      bad("WeightsOfAnotherKind", "w.safetensors", file("w.safetensors", std::string(64, '\x7F'))),
      bad("LackingTensor", "layer1.0.conv2.weight",
          weights([](Tensors& t) { tensor(t, "layer1.0.conv2.weight").name = "layer1.0.conv9.weight"; })),
      bad("TensorOfWrongShape", "layer1.0.bn1.bias", weights([](Tensors& t) {
            tensor(t, "layer1.0.bn1.bias").shape = {32, 2};
          })),
      bad("LyingOffsets", "w.safetensors", all({sound, changed("w.safetensors", lie_about_offsets)})),
      bad("AbsentWeights", "w.safetensors", [](const fs::path&) {}),
      {"WeightsNotGiven", kUsage, "resnet50:res2a", kResNet},
      {"WeightsWhereNoneAreUsed", kUsage, "scattering",
       kIndex + "BASE/exemplars.h5 --weights BASE/weights.safetensors"},
      {"UnknownExtractor", kUsage, "did you mean 'scattering'", kIndex + "BASE/exemplars.h5 --extractor scatering"},
      {"UnknownStage", kUsage, "'res2d'", kIndex + "BASE/exemplars.h5 --extractor resnet50:res2d --weights w"},
      {"UnknownConvention", kUsage, "--weights-convention tensorflow: not one of caffe",
       kResNet + "--weights BASE/weights.safetensors --weights-convention tensorflow"},
      {"IndexMadeWithOtherWeights", kData, "other.safetensors",
       kSearchIndex + "BASE/resnet.h5 --weights BASE/other.safetensors"},
      {"SearchWithoutTheIndexsWeights", kUsage, "resnet50:res2a", kSearchIndex + "BASE/resnet.h5"},
  };
}

std::vector<BadInput> bad_stores() {
  const std::string shard = "index.shards/00001.h5";
  return {
      {"AbsentStore", kData, "absent.h5", kIndex + "absent.h5"},
      {"EmptyStore", kData, "e.h5", kIndex + "e.h5", file("e.h5", "")},
      {"StoreThatIsNotHdf5", kData, "e.h5", kIndex + "e.h5", file("e.h5", std::string(4096, 'x'))},
      {"StoreOfAnotherSchema", kData, "index.h5", kIndex + "BASE/index.h5"},
      {"ExemplarsWhereAnIndexIsWanted", kData, "exemplars.h5", kSearchIndex + "BASE/exemplars.h5"},
      {"TruncatedView", kData, "index.h5", kSearchIndex + "index.h5", all({store("index"), halved("index.h5")})},
      {"AlteredView", kData, "index.h5", kSearchIndex + "index.h5", all({store("index"), flipped("index.h5")})},
      {"TruncatedShard", kData, "00001.h5", kSearchIndex + "index.h5", all({store("index"), halved(shard)})},
      {"DeletedShard", kData, "00001.h5", kSearchIndex + "index.h5", all({store("index"), removed(shard)})},
      {"SwappedShards", kData, "0000", kSearchIndex + "index.h5",
       all({store("index"), swapped("index.shards/00000.h5", shard)})},
      {"FlippedByteInASearchedShard", kData, "00001.h5", kSearchIndex + "index.h5",
       all({store("index"), flipped(shard)})},
      {"ValidateTruncatedShard", kData, "complaints", "validate index.h5", all({store("index"), halved(shard)})},
      {"ValidateFlippedByte", kData, "complaints", "validate .",
       all({store("exemplars"), flipped("exemplars.shards/00000.h5")})},
      {"ValidateSwappedShards", kData, "complaints", "validate index.h5",
       all({store("index"), swapped("index.shards/00000.h5", shard)})},
      {"ValidateFolderWithoutStores", kData, "none", "validate none", file("none/a.txt", "")},
      {"InfoOnJsonNestedWithoutEnd", kData, "a.json", "info a.json", file("a.json", std::string(1 << 22, '['))},
      {"InfoOnText", kData, "a.h5", "info a.h5", file("a.h5", "text")},
      {"ResultsThatAreNone", kData, "index.h5",
       "evaluate retrieval --output out.json --labels BASE/marks/labels.csv --results BASE/index.h5"},
      {"FusedBestsOnly", kData, "results.h5: holds only each mark's best",
       "fuse --output out.h5 --results BASE/results.h5 BASE/results.h5"},
  };
}

std::vector<BadInput> bad_marks() {
  const Prepare mark = image("marks/m.png", 60, 40);
  return {
      {"AbsentMarks", kData, "absent", kSearchMarks + "absent"},
      {"FolderWithoutMarks", kData, "none", kSearchMarks + "none", file("none/labels.csv", "")},
      {"OneBadMarkAmongGoodOnesUnderStrict", kData, "n.png", kSearchMarks + "marks",
       all({mark, file("marks/n.png", "text")})},
      {"NoMarkThatCanBeRead", kData, "n.png", "search --output out.h5 --index BASE/index.h5 --marks marks",
       file("marks/n.png", "text")},
      {"MaskOfAnotherSize", kData, "m.mask.png", kSearchMarks + "marks",
       all({mark, image("marks/m.mask.png", 60, 41)})},
      {"BrokenMask", kData, "m.mask.png", kSearchMarks + "marks", all({mark, file("marks/m.mask.png", "text")})},
      {"MarkWithoutSupport", kData, "m.png", kSearchMarks + "marks", image("marks/m.png", 4, 4)},
      {"MarkThatIsALinkToNowhere", kEnvironment, "m.png", kSearchMarks + "marks",
       [](const fs::path& f) {
         fs::create_directory(f / "marks");
         fs::create_symlink("nowhere.png", f / "marks/m.png");
       }},
      {"TwoMarksOfOneId", kData, "m.jpg", kSearchMarks + "marks", all({mark, image("marks/m.jpg")})},
  };
}

std::vector<BadInput> bad_options() {
  const auto usage = [](const std::string& name, const std::string& culprit, const std::string& command) {
    return BadInput{name, kUsage, culprit, command};
  };
  const std::string ex = "BASE/exemplars.h5 ";
  return {
      usage("UnknownJob", "'search'", "serch --index BASE/index.h5"),
      usage("MisspeltOption", "did you mean --extractor", kIndex + ex + "--extracter pixels"),
      usage("UnknownOption", "--colour", kIndex + ex + "--colour blue"),
      usage("AbbreviatedOption", "--extract", kIndex + ex + "--extract pixels"),
      usage("LackingOption", "--output", "index --exemplars " + ex),
      usage("OptionWithoutValue", "--stride-px", kSearch + "--stride-px"),
      usage("WordThatBelongsToNoOption", "index", kIndex + ex + "--strict word"),
      usage("AnglesThatAreNone", "--angles-deg", kSearch + "--angles-deg left"),
      usage("AnglesWithoutStep", "--angles-deg", kSearch + "--angles-deg 0:20:0"),
      usage("InfiniteAngle", "--angles-deg", kSearch + "--angles-deg 0,inf"),
      usage("StrideOfZero", "--stride-px", kSearch + "--stride-px 0"),
      usage("StrideThatDoesNotFitTheCells", "--stride-px 3", kSearch + "--stride-px 3"),
      usage("ResolutionOfZero", "--mark-dpi 0: must be at least 10 and at most 20000 dpi", kSearch + "--mark-dpi 0"),
      usage("ResolutionOfMarksWithoutThatOfExemplars", "--mark-dpi", kSearch + "--mark-dpi 300"),
      usage("ResolutionBeyondAll", "--exemplar-dpi 1e9: must be at least 10 and at most 20000 dpi",
            kIndex + ex + "--exemplar-dpi 1e9"),
      usage("TopOfZero", "--top", kSearch + "--top 0"),
      usage("ValueThatBoostWouldReplaceForEver", "--top %value%: must be a whole number", kSearch + "--top %value%"),
      usage("UnknownSimilarity", "--similarity", kSearch + "--similarity mu,cosine"),
      usage("ErosionOfHalf", "--erosion", kSearch + "--erosion 0.5"),
      usage("FrameWithoutWidth", "--frame 586", kIndex + ex + "--frame 586"),
      usage("FrameTooSmallForTheFeatures", "4x4", kIndex + ex + "--frame 4x4"),
      usage("UnknownPrecision", "--precision 4", kIndex + ex + "--precision 4"),
      usage("ScaleOfZero", "--image-scale", kIndex + ex + "--image-scale 0"),
      usage("MemoryTooSmall", "--memory-gib", kIndex + ex + "--memory-gib 0.1"),
      usage("UnknownDevice", "--device tpu", kIndex + ex + "--device tpu"),
      usage("UnknownLogLevel", "loud", kIndex + ex + "--log-level loud"),
      usage("NegativeThreads", "--threads", kIndex + ex + "--threads -1"),
      usage("StoreWithAnotherExtension", "out.hdf", "index --output out.hdf --exemplars " + ex),
      usage("UnknownKind", "--kind", "ingest --kind shoes --input BASE/images --output out.h5"),
      usage("SynthesisOfNothing", "--count", "synthesize exemplars --count 0 --output out"),
      usage("SynthesisTooSmall", "--size 8x8", "synthesize exemplars --size 8x8 --output out"),
      usage("PicturesWithoutExemplars", "--exemplars", kEvaluate + "BASE/marks/labels.csv --candidates out"),
      usage("TopOfZeroSaysTheRange", "--top 0: must be at least 1", kSearch + "--top 0"),
      usage("StrideOfZeroSaysTheUnit", "--stride-px 0: must be at least 1 px", kSearch + "--stride-px 0"),
      usage("NumberWithATail", "--stride-px 3x: must be a whole number", kSearch + "--stride-px 3x"),
      usage("NumberThatIsNone", "--memory-gib nan: must be a number", kIndex + ex + "--memory-gib nan"),
      usage("NumberBeyondAll", "--image-scale 1e400: must be a number", kIndex + ex + "--image-scale 1e400"),
      usage("NegativeSeed", "--seed -1: must be at least 0", "synthesize exemplars --seed -1 --output out"),
      usage("NegativeSeedOfTraining", "--seed -1: must be at least 0", kTrain + "BASE/small.h5 --seed -1"),
      usage("DamageBeyondAll", "--damage 2: must be at least 0 and at most 1",
            "synthesize marks --exemplars BASE/images --damage 2 --output out"),
      usage("OptionTwice", "'--top' is given more than once", kSearch + "--top 3 --top 4"),
      {"ConfigurationWithANumberOutOfRange", kUsage, "--top 0: must be at least 1", kSearch + "--config c.ini",
       file("c.ini", "top = 0\n")},
      {"ConfigurationWithUnknownOption", kUsage, "colour", kIndex + ex + "--config c.ini",
       file("c.ini", "colour = blue\n")},
      {"ConfigurationLineThatBoostWouldReplaceForEver", kUsage, "'%invalid_line%'", kIndex + ex + "--config c.ini",
       file("c.ini", "%invalid_line%\n")},
      {"AbsentConfiguration", kData, "absent.ini", kIndex + ex + "--config absent.ini"},
  };
}

/// An option that would change nothing is a misunderstanding.
std::vector<BadInput> options_without_effect() {
  const auto usage = [](const std::string& name, const std::string& culprit, const std::string& command) {
    return BadInput{name, kUsage, culprit, command};
  };
  const std::string labels = "BASE/marks/labels.csv ";
  return {
      usage("RecallWithoutACoarsePass", "--coarse-recall: has no effect without --coarse",
            kSearch + "--coarse-recall 2"),
      usage("DamageOfScans", "--damage: has no effect without `outsole synthesize marks`",
            "synthesize wear --damage 0.2 --output out"),
      usage("SizeOfMarks", "--size: has no effect",
            "synthesize marks --exemplars BASE/images --size 64x64 --output out"),
      usage("MarksOfNothing", "`outsole synthesize marks` needs --exemplars", "synthesize marks --output out"),
      usage("ModelOfASearch", "--model: has no effect without `outsole evaluate wear`",
            kEvaluate + labels + "--model BASE/run/model.h5"),
      usage("FusedAlone", "--results: two searches", "fuse --output out.h5 --results BASE/results.h5"),
      usage("SharesOfOthers", "--shares: 3 are given, for 2",
            "fuse --output out.h5 --results BASE/results.h5 BASE/results.h5 --shares 1 1 1"),
      usage("LabelsOfAModel", "--labels: has no effect without `outsole evaluate retrieval or comparison`",
            kEvaluateWear + "--model BASE/run/model.h5 --scans BASE/small.h5 --labels " + labels),
      usage("LogarithmicRanksWithoutAFigure", "--log-rank: has no effect without --figure",
            kEvaluate + labels + "--log-rank"),
      usage("ExemplarsWithoutPictures", "--exemplars: has no effect without --candidates",
            kEvaluate + labels + "--exemplars BASE/exemplars.h5"),
      usage("PicturesWithoutMarks", "--candidates needs --marks",
            kEvaluate + labels + "--candidates out --exemplars BASE/exemplars.h5"),
      usage("WeeksOfExemplars", "--week-column: has no effect without --kind scans",
            kIngest + "BASE/images --week-column w"),
      usage("FilterWithoutAManifest", "--where: has no effect without --manifest", kIngest + "BASE/images --where a=b"),
      usage("ConventionWithoutWeights", "--weights-convention: has no effect without --weights",
            kIndex + "BASE/exemplars.h5 --weights-convention caffe"),
      usage("ConsensusWithoutAFrame", "--consensus: cannot go with --no-register",
            kPrepare + "BASE/scans.h5 --consensus 4 --no-register"),
      usage("CropWithoutPictures", "--crop: cannot go with --no-pictures",
            kPredictWith + "--weeks 8 --input BASE/small.h5 --crop 0,0,8x8 --no-pictures"),
      usage("RanksWithoutAPlan", "--plan-ranks: has no effect without --plan", kSearch + "--plan-ranks 1,2"),
      usage("NodeWithoutRanks", "--plan-node: has no effect without --plan-ranks",
            kSearch + "--plan --plan-node ranks=2"),
      {"ConfigurationWithAnOptionWithoutEffect", kUsage, "--coarse-recall: has no effect", kSearch + "--config c.ini",
       file("c.ini", "coarse-recall = 2\n")},
  };
}

/// What only rank 0 needs is wrong: the others must not wait for it for ever.
std::vector<BadInput> bad_plans() {
  const auto usage = [](const std::string& name, const std::string& culprit, const std::string& command) {
    return BadInput{name, kUsage, culprit, command};
  };
  return {
      usage("PlanForRanksThatAreNone", "--plan-ranks 1,x", kSearch + "--plan --plan-ranks 1,x"),
      usage("PlanForNoRank", "--plan-ranks 0", kSearch + "--plan --plan-ranks 0"),
      usage("PlanForANodeThatIsNone", "--plan-node ranks=two", kSearch + "--plan --plan-ranks 2 --plan-node ranks=two"),
      usage("TrainingPlanForRanksThatAreNone", "--plan-ranks 1,x", kTrain + "BASE/small.h5 --plan --plan-ranks 1,x"),
      {"PlanOfAnAbsentStore", kData, "absent.h5", kIndex + "absent.h5 --plan"},
      {"PlanToValidateNothing", kData, "absent", "validate absent --plan"},
  };
}

std::vector<BadInput> bad_scans() {
  const auto manifest = [](const std::string& name, const std::string& culprit, const std::string& rows,
                           const std::string& header = "id,shoe,pair,foot,week\n") {
    return BadInput{name, kData, culprit, kIngestScans + "m.csv", file("m.csv", header + rows)};
  };
  const std::string sound = "00002,s,p,L,4\n", shard = "scans.shards/00000.h5";
  return {
      manifest("ScanWithoutARow", "00002.png", "00001,s,p,L,0\n"),
      manifest("ScanOfNoFoot", "'both'", "00001,s,p,both,0\n" + sound),
      manifest("WeekThatIsNoNumber", "'soon'", "00001,s,p,L,soon\n" + sound),
      manifest("InfiniteWeek", "'inf'", "00001,s,p,L,inf\n" + sound),
      {"ManifestWithoutTheNamedWeeks", kData, "'fortnight'", kIngestScans + "m.csv --week-column fortnight",
       file("m.csv", "id,shoe,pair,foot\n00001,s,p,L\n00002,s,p,L\n")},
      {"ScansWithoutAManifest", kUsage, "--manifest", "ingest --kind scans --output out.h5 --input BASE/images"},
      {"AbsentScans", kData, "absent.h5", kPrepare + "absent.h5"},
      {"ExemplarsWhereScansAreWanted", kData, "exemplars.h5", kPrepare + "BASE/exemplars.h5"},
      {"DamagedScans", kData, "00000.h5", kPrepare + "scans.h5", all({store("scans"), flipped(shard)})},
      {"TruncatedScans", kData, "00000.h5", kPrepare + "scans.h5", all({store("scans"), halved(shard)})},
      {"SizeWithoutWidth", kUsage, "--size 640", kPrepare + "BASE/scans.h5 --size 640"},
      {"SizeOfNothing", kUsage, "--size 0x0", kPrepare + "BASE/scans.h5 --size 0x0"},
  };
}

std::vector<BadInput> bad_training() {
  const auto usage = [](const std::string& name, const std::string& culprit, const std::string& options) {
    return BadInput{name, kUsage, culprit, kTrain + "BASE/small.h5 " + options};
  };
  const std::string shard = "small.shards/00000.h5";
  return {
      {"TrainingOnAbsentScans", kData, "absent.h5", kTrain + "absent.h5"},
      {"TrainingOnScansAsTheyCame", kData, "scans.h5", kTrain + "BASE/scans.h5"},
      {"TrainingOnDamagedScans", kData, "00000.h5", kTrain + "small.h5", all({store("small"), flipped(shard)})},
      {"TrainingOnATruncatedView", kData, "small.h5", kTrain + "small.h5", all({store("small"), halved("small.h5")})},
      {"TrainingWithoutAHeldOutPair", kData, "hold out", kTrain + "BASE/small.h5 --split pair"},
      {"RunBelowAFile", kEnvironment, "f/run",
       "train --task prediction --threads 1 --scans BASE/small.h5 --output f/run", file("f", "a file")},
      {"UnknownTask", kUsage, "'guessing'", "train --task guessing --output out --scans BASE/small.h5"},
      usage("UnknownSplit", "'week'", "--split week"),
      usage("LearningRateOfZero", "--learning-rate", "--learning-rate 0"),
      usage("LearningRateThatIsNone", "--learning-rate", "--learning-rate fast"),
      usage("BatchOfNothing", "--batch", "--batch 0"),
      usage("NoEpochs", "--epochs", "--epochs 0"),
      usage("NoMinutes", "--minutes", "--minutes 0"),
      usage("NoCheckpointKept", "--keep-checkpoints", "--keep-checkpoints 0"),
      usage("WatchdogOfNegativePatience", "--watchdog-minutes", "--watchdog-minutes -1"),
  };
}

std::vector<BadInput> bad_models() {
  const auto usage = [](const std::string& name, const std::string& culprit, const std::string& options) {
    return BadInput{name, kUsage, culprit, kPredictWith + options};
  };
  const std::string shard = "run/model.shards/00000.h5", small = "--input BASE/small.h5 ";
  return {
      {"AbsentModel", kData, "absent.h5", kPredict + "absent.h5"},
      {"ScansWhereAModelIsWanted", kData, "small.h5", kPredict + "BASE/small.h5"},
      {"DamagedModel", kData, "00000.h5", kPredict + "run/model.h5", all({store("run/model"), flipped(shard)})},
      {"TruncatedModel", kData, "model.h5", kPredict + "run/model.h5",
       all({store("run/model"), halved("run/model.h5")})},
      {"ModelWithoutItsShard", kData, "00000.h5", kPredict + "run/model.h5", all({store("run/model"), removed(shard)})},
      {"InputThatIsAbsent", kData, "absent", kPredictWith + "--weeks 8 --input absent"},
      {"InputThatIsNoImage", kData, "a.png", kPredictWith + "--strict --weeks 8 --input a.png",
       all({file("a.png", "text"), file("out/other", "")})},
      usage("WeeksThatAreNone", "--weeks", small + "--weeks 8,soon"),
      usage("WeeksThatNoModelKnows", "60", small + "--weeks 60"),
      usage("UnknownScan", "'week99'", small + "--weeks 8 --ids week99"),
      usage("CropWithoutSize", "--crop", small + "--weeks 8 --crop 4,4"),
      usage("ModelOfTheOtherTask", "prediction", small + "--weeks 8 --task reconstruction"),
      {"EvaluationWithoutAModel", kUsage, "--model", kEvaluateWear + "--scans BASE/small.h5"},
      {"EvaluationOfScans", kData, "small.h5", kEvaluateWear + "--model BASE/small.h5 --scans BASE/small.h5"},
      {"EvaluationOnDamagedScans", kData, "00000.h5", kEvaluateWear + "--model BASE/run/model.h5 --scans small.h5",
       all({store("small"), flipped("small.shards/00000.h5")})},
      {"EvaluationOnScansAsTheyCame", kData, "scans.h5",
       kEvaluateWear + "--model BASE/run/model.h5 --scans BASE/scans.h5"},
      {"EvaluationAgainstAbsentTruth", kData, "absent",
       kEvaluateWear + "--model BASE/run/model.h5 --scans BASE/small.h5 --clean absent"},
  };
}

std::vector<BadInput> bad_outputs() {
  const std::string ex = "BASE/exemplars.h5 ";
  return {
      {"OutputBelowAFile", kEnvironment, "f/out", "index --output f/out.h5 --exemplars " + ex, file("f", "a file")},
      {"OutputThatIsAnotherFile", kData, "out.h5", kIndex + ex, file("out.h5", "precious")},
      {"OutputThatIsAnotherStore", kData, "index.h5", "index --output index.h5 --extractor pixels --exemplars " + ex,
       store("index")},
      {"OutputThatIsTheInput", kData, "exemplars.h5", "index --output exemplars.h5 --exemplars exemplars.h5",
       store("exemplars")},
      {"ShardsOfAnotherRun", kData, "other settings", "index --output index.h5 --extractor pixels --exemplars " + ex,
       all({store("index"), removed("index.h5")})},
      {"EvaluationIntoAnAbsentFolder", kEnvironment, "none/out.json",
       "evaluate retrieval --output none/out.json --results BASE/results.h5 --labels BASE/marks/labels.csv"},
      {"EvaluationInThePlaceOfAStore", kUsage, "results.h5",
       "evaluate retrieval --output results.h5 --results results.h5 --labels BASE/marks/labels.csv", store("results")},
      {"TableIntoAnAbsentFolder", kEnvironment, "none/out.csv", kSearchIndex + "BASE/index.h5 --csv none/out.csv"},
      {"SynthesisIntoAFolderOfOtherFiles", kUsage, "out", "synthesize exemplars --count 1 --output out",
       file("out/thesis.txt", "precious")},
  };
}

// --- The test -------------------------------------------------------------------------------------------------------

class Refused : public SharedFolder, public ::testing::WithParamInterface<BadInput> {
 protected:
  static void SetUpTestSuite() { Database::folder(); }  // all ranks make it

  std::vector<std::string> words_of(const std::string& command) const {
    std::vector<std::string> words;
    for (std::size_t begin = 0; begin < command.size();) {
      const std::size_t end = std::min(command.find(' ', begin), command.size());
      std::string word = command.substr(begin, end - begin);
      if (word.starts_with("BASE")) word.replace(0, 4, Database::folder().string());
      if (!word.empty()) words.push_back(word);
      begin = end + 1;
    }
    return words;
  }
};

/// Names of all files and folders, and the files' digests.
std::map<std::string, std::string> content_of(const fs::path& folder) {
  std::map<std::string, std::string> content = digests(folder);
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    content.emplace(entry.path().lexically_relative(folder), "");
  return content;
}

TEST_P(Refused, WithTheCodeOfItsCauseNamingTheCulpritAndLeavingNothingBehind) {
  const BadInput& bad = GetParam();
  std::map<std::string, std::string> before;
  prepare([&] {
    bad.prepare(folder_);
    before = content_of(folder_);
  });
  const JobResult refusal = run_here(folder_, words_of(bad.command));
  EXPECT_EQ(refusal.exit_code, bad.exit_code) << refusal.errors;
  if (!comm_.is_root()) return;
  EXPECT_THAT(refusal.errors, HasSubstr("outsole: "));
  EXPECT_THAT(refusal.errors, HasSubstr(bad.culprit));
  EXPECT_EQ(content_of(folder_), before);
}

const auto name_of = [](const auto& info) { return info.param.name; };

INSTANTIATE_TEST_SUITE_P(Images, Refused, ::testing::ValuesIn(bad_images()), name_of);
INSTANTIATE_TEST_SUITE_P(Tables, Refused, ::testing::ValuesIn(bad_tables()), name_of);
INSTANTIATE_TEST_SUITE_P(Weights, Refused, ::testing::ValuesIn(bad_weights()), name_of);
INSTANTIATE_TEST_SUITE_P(Stores, Refused, ::testing::ValuesIn(bad_stores()), name_of);
INSTANTIATE_TEST_SUITE_P(Marks, Refused, ::testing::ValuesIn(bad_marks()), name_of);
INSTANTIATE_TEST_SUITE_P(Options, Refused, ::testing::ValuesIn(bad_options()), name_of);
INSTANTIATE_TEST_SUITE_P(WithoutEffect, Refused, ::testing::ValuesIn(options_without_effect()), name_of);
INSTANTIATE_TEST_SUITE_P(Plans, Refused, ::testing::ValuesIn(bad_plans()), name_of);
INSTANTIATE_TEST_SUITE_P(Scans, Refused, ::testing::ValuesIn(bad_scans()), name_of);
INSTANTIATE_TEST_SUITE_P(Training, Refused, ::testing::ValuesIn(bad_training()), name_of);
INSTANTIATE_TEST_SUITE_P(Models, Refused, ::testing::ValuesIn(bad_models()), name_of);
INSTANTIATE_TEST_SUITE_P(Outputs, Refused, ::testing::ValuesIn(bad_outputs()), name_of);

}  // namespace
}  // namespace outsole::testing
