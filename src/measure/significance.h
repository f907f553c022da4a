#pragma once
// Whether one method finds more than another on the same marks, or whether that may well be chance: two paired tests.

#include <cstdint>
#include <span>

namespace outsole::measure {

/// Exact two-sided McNemar test (McNemar 1947, with the binomial distribution): of the marks that only one of two
/// methods finds, each is as likely to be the first's as the second's, if the methods are equally good. The probability
/// of a split at least as uneven as this one; 1 when there is no such mark. Throws Bug for negative counts.
double mcnemar_p_value(std::int64_t only_first, std::int64_t only_second);

/// Two-sided sign-flip permutation test (Fisher 1935) of paired differences, such as average precision of one method
/// minus another's for each mark: the share of random signs that put the sum at least as far from 0 as it is, the true
/// signs counted as one of them: (hits + 1) / (flips + 1). The same on every machine. 1 without differences. Throws Bug
/// unless `flips` is at least 1.
double sign_flip_p_value(std::span<const double> differences, std::int64_t flips, std::uint64_t seed);

}  // namespace outsole::measure
