#include "examples/image_classifier/trainer.h"

#include <torch/nn/functional/loss.h>
#include <torch/optim/adam.h>
#include <torch/utils.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "common/base/clock.h"
#include "common/base/status_macros.h"
#include "examples/image_classifier/network.h"

namespace switchyard::image_classifier {
namespace {

constexpr int64_t kTestBatchSize = 500;

struct Batch {
  // float32 [images, channels, height, width].
  torch::Tensor images;
  // int64 [images].
  torch::Tensor labels;

  int64_t num_images() const { return labels.size(0); }
};

// An image set as torch sees it, in the set's own memory.
class ImageTensors {
 public:
  // `set` must outlive this. from_blob wants mutable pointers, but nothing
  // writes through them.
  explicit ImageTensors(const ImageSet& set)
      : pixels_(torch::from_blob(const_cast<uint8_t*>(set.pixels.data()),
                                 {set.num_images(), set.shape.num_channels,
                                  set.shape.height, set.shape.width},
                                 torch::kUInt8)),
        labels_(torch::from_blob(const_cast<uint8_t*>(set.labels.data()),
                                 {set.num_images()}, torch::kUInt8)) {}

  // The images at `image_idxs`, int64, normalised as if each channel's mean and
  // standard deviation were .5.
  Batch Select(const torch::Tensor& image_idxs) const {
    return {pixels_.index_select(0, image_idxs)
                .to(torch::kFloat32)
                .div_(127.5f)
                .sub_(1.0f),
            labels_.index_select(0, image_idxs).to(torch::kInt64)};
  }

  int64_t num_images() const { return labels_.size(0); }

 private:
  torch::Tensor pixels_;
  torch::Tensor labels_;
};

int64_t CountCorrect(const torch::Tensor& logits, const torch::Tensor& labels) {
  return (logits.argmax(1) == labels).sum().item<int64_t>();
}

// Twins made with the same seed share trunk and head.
Classifier MakeClassifier(uint64_t seed, const ImageShape& images,
                          RemoteMoe moe) {
  torch::manual_seed(seed);
  return Classifier(images, std::move(moe));
}

// One network and what it takes to train it.
class Learner {
 public:
  Learner(const TrainingOptions& options, const ImageShape& images,
          RemoteMoe moe)
      : aux_loss_coefficient_(options.aux_loss_coefficient),
        classifier_(MakeClassifier(options.seed, images, std::move(moe))),
        optimizer_(classifier_->parameters(),
                   torch::optim::AdamOptions(options.learning_rate)
                       .betas({kAdamBeta1, kAdamBeta2})
                       .eps(kAdamEpsilon)) {}

  void StartEpoch();
  absl::Status TrainBatch(const Batch& batch, double learning_rate);
  // The number of images classified correctly.
  absl::StatusOr<int64_t> TestBatch(const Batch& batch);

  // Since StartEpoch.
  NetworkProgress epoch_progress() const;

  RemoteMoe moe() const { return classifier_->moe(); }
  const NetworkRecord& record() const { return record_; }

 private:
  absl::Status MoeStatus() const {
    return classifier_->has_moe() ? moe()->status() : absl::OkStatus();
  }
  absl::Status Update(double learning_rate);

  const double aux_loss_coefficient_;
  Classifier classifier_;
  torch::optim::Adam optimizer_;
  NetworkRecord record_;
  double epoch_loss_sum_ = 0;
  int64_t epoch_num_correct_ = 0;
  int64_t epoch_num_images_ = 0;
};

void Learner::StartEpoch() {
  classifier_->train();
  epoch_loss_sum_ = 0;
  epoch_num_correct_ = 0;
  epoch_num_images_ = 0;
}

absl::Status Learner::TrainBatch(const Batch& batch, double learning_rate) {
  const Stopwatch stopwatch;
  const ClassifierImpl::Output output = classifier_->forward(batch.images);
  SWITCHYARD_RETURN_IF_ERROR(MoeStatus());
  const torch::Tensor cross_entropy =
      torch::nn::functional::cross_entropy(output.logits, batch.labels);
  torch::Tensor loss = cross_entropy;
  if (classifier_->has_moe()) {
    loss = loss + aux_loss_coefficient_ * output.aux_loss;
  }
  optimizer_.zero_grad();
  loss.backward();
  SWITCHYARD_RETURN_IF_ERROR(MoeStatus());
  SWITCHYARD_RETURN_IF_ERROR(Update(learning_rate));

  const int64_t num_images = batch.num_images();
  epoch_loss_sum_ +=
      cross_entropy.item<double>() * static_cast<double>(num_images);
  epoch_num_correct_ += CountCorrect(output.logits, batch.labels);
  epoch_num_images_ += num_images;
  ++record_.num_steps;
  record_.num_tokens += num_images;
  record_.train_us += stopwatch.ElapsedUs();
  return absl::OkStatus();
}

absl::Status Learner::Update(double learning_rate) {
  // First the layer, whose step may fail: a step is then done nowhere.
  if (classifier_->has_moe()) {
    SWITCHYARD_RETURN_IF_ERROR(moe()->Step(static_cast<float>(learning_rate)));
  }
  for (torch::optim::OptimizerParamGroup& group : optimizer_.param_groups()) {
    group.options().set_lr(learning_rate);
  }
  optimizer_.step();
  return absl::OkStatus();
}

absl::StatusOr<int64_t> Learner::TestBatch(const Batch& batch) {
  const torch::NoGradGuard no_grad;
  classifier_->eval();
  const ClassifierImpl::Output output = classifier_->forward(batch.images);
  SWITCHYARD_RETURN_IF_ERROR(MoeStatus());
  return CountCorrect(output.logits, batch.labels);
}

NetworkProgress Learner::epoch_progress() const {
  const auto num_images =
      static_cast<double>(std::max<int64_t>(epoch_num_images_, 1));
  return {epoch_loss_sum_ / num_images,
          static_cast<double>(epoch_num_correct_) / num_images};
}

// The whole run: both twins over all epochs.
class Trainer {
 public:
  Trainer(const TrainingOptions& options, const Dataset& dataset,
          RemoteLayer* layer, const std::atomic<bool>& stop,
          ProgressPrinter& progress)
      : options_(options),
        dataset_(dataset),
        train_(dataset.train),
        num_batches_((train_.num_images() + options.batch_size - 1) /
                     options.batch_size),
        stop_(stop),
        progress_(progress),
        dense_(options, dataset.train.shape, RemoteMoe(nullptr)) {
    if (layer == nullptr) return;
    moe_.emplace(options, dataset.train.shape, RemoteMoe(*layer));
  }

  absl::Status Train();
  absl::Status Test();
  TrainingRecord Record() const;

 private:
  absl::Status TrainEpoch(int64_t epoch);
  absl::Status TrainBatch(const Batch& batch, double learning_rate);
  void ShowProgress(int64_t epoch, int64_t num_batches_done);
  // Not set: interrupted.
  absl::StatusOr<std::optional<double>> TestAccuracy(Learner& learner) const;

  const TrainingOptions& options_;
  const Dataset& dataset_;
  const ImageTensors train_;
  // In an epoch; the last one may be smaller.
  const int64_t num_batches_;
  const std::atomic<bool>& stop_;
  ProgressPrinter& progress_;
  const Stopwatch since_start_;
  Learner dense_;
  // Not set: only the dense twin is trained.
  std::optional<Learner> moe_;
  // Of all epochs before this one.
  std::vector<int64_t> former_expert_tokens_;
  std::optional<double> dense_accuracy_;
  std::optional<double> moe_accuracy_;
};

absl::Status Trainer::Train() {
  // The order of the images follows from the seed alone.
  torch::manual_seed(options_.seed);
  for (int64_t epoch = 0; epoch < options_.num_epochs && !stop_; ++epoch) {
    SWITCHYARD_RETURN_IF_ERROR(TrainEpoch(epoch));
  }
  progress_.Finish();
  return absl::OkStatus();
}

absl::Status Trainer::TrainEpoch(int64_t epoch) {
  dense_.StartEpoch();
  if (moe_) {
    moe_->StartEpoch();
    former_expert_tokens_ = moe_->moe()->record().expert_tokens;
  }
  const std::vector<torch::Tensor> image_idxs =
      torch::randperm(train_.num_images(), torch::kInt64)
          .split(options_.batch_size);
  for (int64_t i = 0; i < num_batches_ && !stop_; ++i) {
    const double done = static_cast<double>(epoch * num_batches_ + i) /
                        static_cast<double>(options_.num_epochs * num_batches_);
    SWITCHYARD_RETURN_IF_ERROR(
        TrainBatch(train_.Select(image_idxs[static_cast<size_t>(i)]),
                   LearningRateAt(options_.learning_rate, done)));
    ShowProgress(epoch, i + 1);
  }
  return absl::OkStatus();
}

absl::Status Trainer::TrainBatch(const Batch& batch, double learning_rate) {
  if (moe_) {
    SWITCHYARD_RETURN_IF_ERROR(moe_->TrainBatch(batch, learning_rate));
  }
  return dense_.TrainBatch(batch, learning_rate);
}

void Trainer::ShowProgress(int64_t epoch, int64_t num_batches_done) {
  TrainingProgress progress;
  progress.epoch = epoch + 1;
  progress.num_epochs = options_.num_epochs;
  progress.num_batches_done = num_batches_done;
  progress.num_batches = num_batches_;
  progress.dense = dense_.epoch_progress();
  if (moe_) {
    progress.moe = moe_->epoch_progress();
    progress.expert_tokens = moe_->moe()->record().expert_tokens;
    for (size_t i = 0; i < former_expert_tokens_.size(); ++i) {
      progress.expert_tokens[i] -= former_expert_tokens_[i];
    }
  }
  progress.tokens_per_second =
      TokensPerSecond(moe_ ? moe_->record() : dense_.record());
  const auto all = static_cast<double>(options_.num_epochs * num_batches_);
  const auto done =
      static_cast<double>(epoch * num_batches_ + num_batches_done);
  progress.seconds_left = static_cast<double>(since_start_.ElapsedUs()) * 1e-6 *
                          (all - done) / done;
  progress_.Update(progress);
}

absl::Status Trainer::Test() {
  SWITCHYARD_ASSIGN_OR_RETURN(dense_accuracy_, TestAccuracy(dense_));
  if (!moe_) return absl::OkStatus();
  SWITCHYARD_ASSIGN_OR_RETURN(moe_accuracy_, TestAccuracy(*moe_));
  return absl::OkStatus();
}

absl::StatusOr<std::optional<double>> Trainer::TestAccuracy(
    Learner& learner) const {
  const ImageTensors test(dataset_.test);
  int64_t num_correct = 0;
  for (const torch::Tensor& image_idxs :
       torch::arange(test.num_images(), torch::kInt64).split(kTestBatchSize)) {
    if (stop_) return std::nullopt;
    SWITCHYARD_ASSIGN_OR_RETURN(const int64_t num_correct_in_batch,
                                learner.TestBatch(test.Select(image_idxs)));
    num_correct += num_correct_in_batch;
  }
  return static_cast<double>(num_correct) /
         static_cast<double>(test.num_images());
}

TrainingRecord Trainer::Record() const {
  TrainingRecord record;
  record.dataset = dataset_.name;
  record.num_test_images = dataset_.test.num_images();
  record.interrupted = stop_;
  record.dense = dense_.record();
  record.dense->test_accuracy = dense_accuracy_;
  if (!moe_) return record;
  record.moe = moe_->record();
  record.moe->test_accuracy = moe_accuracy_;
  record.moe_layer = moe_->moe()->record();
  return record;
}

}  // namespace

absl::StatusOr<TrainingRecord> TrainAndTest(const TrainingOptions& options,
                                            const Dataset& dataset,
                                            RemoteLayer* layer,
                                            const std::atomic<bool>& stop,
                                            ProgressPrinter& progress) {
  torch::set_num_threads(options.num_threads);
  Trainer trainer(options, dataset, layer, stop, progress);
  SWITCHYARD_RETURN_IF_ERROR(trainer.Train());
  SWITCHYARD_RETURN_IF_ERROR(trainer.Test());
  return trainer.Record();
}

}  // namespace switchyard::image_classifier
