#include "cli/load/load_report.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cli/table.h"

namespace switchyard {
namespace {

constexpr double kMedian = 0.5;
constexpr double kP99 = 0.99;
constexpr double kP999 = 0.999;

std::string Rate(double per_s) { return absl::StrFormat("%.1f", per_s); }

std::string Milliseconds(int64_t us) {
  return absl::StrFormat("%.2f", static_cast<double>(us) * 1e-3);
}

std::vector<int64_t> SortedAnswers(const LoadResult& result) {
  std::vector<int64_t> answered;
  for (const ClientLoad& client : result.clients) {
    answered.push_back(client.answered);
  }
  std::sort(answered.begin(), answered.end());
  return answered;
}

// "12/15/16": the least, the median and the most of any client.
std::string ClientSpread(const LoadResult& result) {
  const std::vector<int64_t> answered = SortedAnswers(result);
  if (answered.empty()) return "-";
  return absl::StrCat(answered.front(), "/", answered[answered.size() / 2], "/",
                      answered.back());
}

// Where so many started late that the latencies are the generator's own.
std::string LateLine(const OfferedLoad& load) {
  const LoadResult& result = load.result;
  if (load.rate_per_s == 0 ||
      (result.started_late + result.never_started) * 100 <= result.due) {
    return "";
  }
  return absl::StrCat(
      "at ", Rate(load.rate_per_s), "/s: of ", Counted(result.due, "request"),
      " ", GroupDigits(result.started_late), " started late and ",
      GroupDigits(result.never_started),
      " not before the time was over, all callers being busy; the latency has "
      "that wait in it. More --outstanding offers the load anyway\n");
}

}  // namespace

bool IsSaturated(const OfferedLoad& load) {
  return load.result.NumFailed() > 0 || load.result.never_started > 0 ||
         load.result.AnsweredPerSecond() < 0.95 * load.result.DuePerSecond();
}

std::string FormatLoads(const std::vector<OfferedLoad>& loads) {
  Table table({{"OFFERED/s", Align::kRight},
               {"ANSWERED/s", Align::kRight},
               {"P50 ms", Align::kRight},
               {"P99 ms", Align::kRight},
               {"P99.9 ms", Align::kRight},
               {"MAX ms", Align::kRight},
               {"ANSWERED", Align::kRight},
               {"FAILED", Align::kRight},
               {"PER CLIENT", Align::kRight},
               {"FAIRNESS", Align::kRight}});
  std::string notes;
  for (const OfferedLoad& load : loads) {
    const LoadResult& result = load.result;
    table.AddRow({load.rate_per_s > 0 ? Rate(load.rate_per_s) : "closed loop",
                  Rate(result.AnsweredPerSecond()),
                  Milliseconds(result.latency.QuantileUs(kMedian)),
                  Milliseconds(result.latency.QuantileUs(kP99)),
                  Milliseconds(result.latency.QuantileUs(kP999)),
                  Milliseconds(result.latency.max_us()),
                  GroupDigits(result.answered), GroupDigits(result.NumFailed()),
                  ClientSpread(result),
                  absl::StrFormat("%.3f", result.Fairness())});
    for (const auto& [code, count] : result.failed) {
      absl::StrAppend(&notes, GroupDigits(count), " x ",
                      absl::StatusCodeToString(code), ", e.g. ",
                      Printable(result.messages.at(code)), "\n");
    }
    notes += LateLine(load);
  }
  return table.ToString("", /*with_colour=*/false) + notes;
}

nlohmann::json LoadsToJson(const std::vector<OfferedLoad>& loads) {
  nlohmann::json json = nlohmann::json::array();
  for (const OfferedLoad& load : loads) {
    const LoadResult& result = load.result;
    nlohmann::json failed = nlohmann::json::object();
    for (const auto& [code, count] : result.failed) {
      failed[absl::StatusCodeToString(code)] = count;
    }
    nlohmann::json clients = nlohmann::json::array();
    for (const ClientLoad& client : result.clients) {
      clients.push_back(client.answered);
    }
    json.push_back(
        {{"offered_per_s", load.rate_per_s > 0 ? nlohmann::json(load.rate_per_s)
                                               : nlohmann::json(nullptr)},
         {"answered_per_s", result.AnsweredPerSecond()},
         {"due", result.due},
         {"answered", result.answered},
         {"failed", failed},
         {"started_late", result.started_late},
         {"never_started", result.never_started},
         {"p50_us", result.latency.QuantileUs(kMedian)},
         {"p99_us", result.latency.QuantileUs(kP99)},
         {"p999_us", result.latency.QuantileUs(kP999)},
         {"max_us", result.latency.max_us()},
         {"fairness", result.Fairness()},
         {"client_answered", clients}});
  }
  return json;
}

}  // namespace switchyard
