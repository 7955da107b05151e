//! Tests of the handle against engines that hold, fail and panic on command. Nothing sleeps: an engine that is held says so.

use std::{
    future::{Future, poll_fn},
    ops::Range,
    pin::Pin,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    task::Poll,
};

use crossbeam_channel::{Receiver, unbounded};
use tidegate_catalog::{Deadline, Micros, Principal, Priority, clock::ManualClock};

use super::*;
use crate::{
    batch_input::{Buffer, Slot},
    fit::{Column, fit},
    outputs::{OutputRow, OutputTensor, OutputValues},
    session::{Engine, RunError},
    signature::{Dim, ElementType, TensorSpec},
};

/// Values of the one input that make an engine misbehave.
const PANIC: f32 = -1.0;
const FAIL: f32 = -2.0;
const HELD: f32 = -3.0;
const TAKES_A_MINUTE: f32 = -4.0;
const LOSES_ROWS: f32 = -5.0;
const REFUSED: f32 = -6.0;

struct FakeSource {
    made: AtomicUsize,
    broken: AtomicBool,
    panics: AtomicBool,
    /// Every run: its rows' values.
    log: Arc<Mutex<Vec<Vec<f32>>>>,
    entered: Sender<()>,
    release: Receiver<()>,
    clock: Arc<ManualClock>,
}

struct FakeEngine {
    log: Arc<Mutex<Vec<Vec<f32>>>>,
    entered: Sender<()>,
    release: Receiver<()>,
    clock: Arc<ManualClock>,
}

impl EngineSource for FakeSource {
    fn engine(&self) -> Result<Box<dyn Engine>, String> {
        if self.broken.load(Ordering::SeqCst) {
            return Err("no memory".to_owned());
        }
        assert!(!self.panics.load(Ordering::SeqCst), "no memory at all");
        self.made.fetch_add(1, Ordering::SeqCst);
        Ok(Box::new(FakeEngine {
            log: Arc::clone(&self.log),
            entered: self.entered.clone(),
            release: self.release.clone(),
            clock: Arc::clone(&self.clock),
        }))
    }
}

impl Engine for FakeEngine {
    fn run(&mut self, input: &BatchInput, rows: Range<usize>) -> Result<Outputs, RunError> {
        let values = match input.tensors().next() {
            Some((_, Buffer::Float32(values))) => values[rows.clone()].to_vec(),
            other => panic!("{other:?}"),
        };
        self.log.lock().push(values.clone());
        if values.contains(&HELD) {
            self.entered.send(()).unwrap();
            self.release.recv().unwrap();
        }
        if values.contains(&TAKES_A_MINUTE) {
            self.clock.advance(Duration::from_secs(60));
        }
        if values.contains(&FAIL) {
            return Err(RunError::Failed("the value is unknown".to_owned()));
        }
        if values.contains(&REFUSED) {
            return Err(RunError::Refused("the index is out of bounds".to_owned()));
        }
        if values.contains(&LOSES_ROWS) {
            return Err(RunError::OutputShape { output: "y".to_owned(), shape: vec![1] });
        }
        assert!(!values.contains(&PANIC), "the model is broken");
        let doubled = values.iter().map(|value| value * 2.0).collect();
        Ok(Outputs::new(signature(), vec![OutputTensor::new(vec![], OutputValues::Float32(doubled))], rows.len()))
    }
}

fn signature() -> Signature {
    let spec = |name: &str| TensorSpec { name: name.to_owned(), element: ElementType::Float32, dims: vec![Dim::Free] };
    Signature { inputs: [spec("x")].into(), outputs: [spec("y")].into() }
}

struct Bench {
    source: Arc<FakeSource>,
    clock: Arc<ManualClock>,
    entered: Receiver<()>,
    release: Sender<()>,
    slot: Slot,
    plan: InputPlan,
}

impl Bench {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::at(Micros(0)));
        let (enter, entered) = unbounded();
        let (release, released) = unbounded();
        let source = FakeSource {
            made: AtomicUsize::new(0),
            broken: AtomicBool::new(false),
            panics: AtomicBool::new(false),
            log: Arc::default(),
            entered: enter,
            release: released,
            clock: Arc::clone(&clock),
        };
        let float = tidegate_catalog::FeatureType::Scalar(tidegate_catalog::ScalarType::Float32);
        let plan = fit(&signature(), &[Column { name: "x", feature_type: float }]).unwrap();
        Self { source: Arc::new(source), clock, entered, release, slot: plan.slot(0).unwrap(), plan }
    }

    async fn try_start(
        &self,
        replicas: usize,
        max_batch_size: usize,
        queue_requests: usize,
    ) -> Result<ModelHandle, ModelError> {
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        self.try_start_by(clock, replicas, max_batch_size, queue_requests).await
    }

    async fn try_start_by(
        &self,
        clock: Arc<dyn Clock>,
        replicas: usize,
        max_batch_size: usize,
        queue_requests: usize,
    ) -> Result<ModelHandle, ModelError> {
        let parts = Parts {
            name: "fake".to_owned(),
            hash: "00".to_owned(),
            path: "models/fake.onnx".into(),
            signature: signature(),
            plan: self.plan.clone(),
            source: Arc::clone(&self.source) as Arc<dyn EngineSource>,
            clock,
        };
        let number = |number| NonZeroUsize::new(number).unwrap();
        let config = ModelConfig {
            replicas: number(replicas),
            max_batch_size: number(max_batch_size),
            queue_requests: number(queue_requests),
        };
        ModelHandle::start_parts(parts, config).await
    }

    /// A started model whose log is empty again.
    async fn start(&self, replicas: usize, max_batch_size: usize, queue_requests: usize) -> ModelHandle {
        let model = self.try_start(replicas, max_batch_size, queue_requests).await.unwrap();
        self.source.log.lock().clear();
        model
    }

    fn batch(&self, values: &[f32]) -> BatchInput {
        let mut input = self.plan.batch(values.len());
        for (row, value) in values.iter().enumerate() {
            input.put_f32(row, self.slot, *value).unwrap();
        }
        input
    }

    fn call(&self, budget: Duration) -> CallContext {
        CallContext {
            request_id: "test".into(),
            principal: Principal::Local,
            deadline: Deadline::after(self.clock.monotonic(), budget),
            priority: Priority::Normal,
            trace: None,
        }
    }

    fn patient(&self) -> CallContext {
        self.call(Duration::from_secs(3600))
    }

    fn log(&self) -> Vec<Vec<f32>> {
        self.source.log.lock().clone()
    }

    fn made(&self) -> usize {
        self.source.made.load(Ordering::SeqCst)
    }
}

fn answer(inference: &Inference) -> Vec<f32> {
    let output = inference.outputs.named("y").unwrap();
    (0..inference.outputs.rows())
        .map(|row| match output.row(row) {
            Some(OutputRow::Float32([value])) => *value,
            other => panic!("{other:?}"),
        })
        .collect()
}

/// Polls once: what a future does before it first waits has then happened.
async fn begin<T>(mut future: Pin<&mut impl Future<Output = T>>) -> Option<T> {
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

#[tokio::test]
async fn an_answer_has_the_rows_of_its_batch_in_their_order() {
    let bench = Bench::new();
    let model = bench.start(1, 8, 4).await;
    let inference = model.infer(bench.batch(&[1.0, 2.0, 3.0]), &bench.patient()).await.unwrap();
    assert_eq!(answer(&inference), [2.0, 4.0, 6.0]);
    assert_eq!(inference.input, bench.batch(&[1.0, 2.0, 3.0]), "the batch came back changed");
}

#[tokio::test]
async fn every_bucket_is_run_before_the_model_is_ready() {
    let bench = Bench::new();
    let model = bench.try_start(1, 6, 4).await.unwrap();
    assert_eq!(bench.log().iter().map(Vec::len).collect::<Vec<_>>(), [1, 2, 4, 6]);
    assert!(model.is_ready());
}

#[tokio::test]
async fn a_model_whose_session_cannot_be_made_does_not_start() {
    let bench = Bench::new();
    bench.source.broken.store(true, Ordering::SeqCst);
    let refused = bench.try_start(2, 8, 4).await.unwrap_err();
    assert_eq!(refused.to_string(), "model models/fake.onnx did not start: no memory");
}

#[tokio::test]
async fn a_request_larger_than_a_run_is_run_in_parts() {
    let bench = Bench::new();
    let model = bench.start(1, 2, 4).await;
    let inference = model.infer(bench.batch(&[1.0, 2.0, 3.0, 4.0, 5.0]), &bench.patient()).await.unwrap();
    assert_eq!(answer(&inference), [2.0, 4.0, 6.0, 8.0, 10.0]);
    assert_eq!(bench.log(), [vec![1.0, 2.0], vec![3.0, 4.0], vec![5.0]]);
}

#[tokio::test]
async fn a_full_queue_refuses_the_next_batch_at_once_and_keeps_the_others() {
    let bench = Bench::new();
    let model = bench.start(1, 8, 1).await;
    let call = bench.patient();
    let mut running = Box::pin(model.infer(bench.batch(&[HELD]), &call));
    assert!(begin(running.as_mut()).await.is_none());
    bench.entered.recv().unwrap();
    let mut queued = Box::pin(model.infer(bench.batch(&[1.0]), &call));
    assert!(begin(queued.as_mut()).await.is_none());
    let refused = model.infer(bench.batch(&[2.0]), &call).await.unwrap_err();
    assert_eq!(refused, Error::QueueFull { model: "fake".to_owned(), limit: 1 });
    assert_eq!(refused.code(), tidegate_catalog::ErrorCode::ResourceExhausted);
    bench.release.send(()).unwrap();
    assert_eq!(answer(&running.await.unwrap()), [-6.0]);
    assert_eq!(answer(&queued.await.unwrap()), [2.0]);
}

#[tokio::test]
async fn a_batch_whose_deadline_passes_in_the_queue_is_not_run() {
    let bench = Bench::new();
    let model = bench.start(1, 8, 4).await;
    let (patient, hasty) = (bench.patient(), bench.call(Duration::from_secs(100)));
    let mut running = Box::pin(model.infer(bench.batch(&[HELD]), &patient));
    assert!(begin(running.as_mut()).await.is_none());
    bench.entered.recv().unwrap();
    let mut queued = Box::pin(model.infer(bench.batch(&[1.0]), &hasty));
    assert!(begin(queued.as_mut()).await.is_none());
    bench.clock.advance(Duration::from_secs(101));
    bench.release.send(()).unwrap();
    running.await.unwrap();
    let late = queued.await.unwrap_err();
    assert_eq!(late, Error::Late { model: "fake".to_owned(), stage: Stage::Queued });
    assert_eq!(late.code(), tidegate_catalog::ErrorCode::DeadlineExceeded);
    assert_eq!(bench.log(), [vec![HELD]]);
}

#[tokio::test]
async fn a_batch_that_is_late_already_never_joins_the_queue() {
    let bench = Bench::new();
    let model = bench.start(1, 8, 4).await;
    let late = model.infer(bench.batch(&[1.0]), &bench.call(Duration::ZERO)).await.unwrap_err();
    assert_eq!(late, Error::Late { model: "fake".to_owned(), stage: Stage::BeforeQueue });
    model.shutdown().await;
    assert_eq!(bench.log(), Vec::<Vec<f32>>::new());
}

#[tokio::test]
async fn a_caller_waits_no_longer_than_its_deadline_for_a_model_that_hangs() {
    let bench = Bench::new();
    let model = bench.start(1, 8, 4).await;
    let late = model.infer(bench.batch(&[HELD]), &bench.call(Duration::from_millis(5))).await.unwrap_err();
    assert_eq!(late, Error::Late { model: "fake".to_owned(), stage: Stage::Waiting });
    bench.release.send(()).unwrap();
    assert_eq!(answer(&model.infer(bench.batch(&[1.0]), &bench.patient()).await.unwrap()), [2.0]);
}

#[tokio::test]
async fn the_deadline_is_looked_at_between_the_runs_of_a_large_request() {
    let bench = Bench::new();
    let model = bench.start(1, 1, 4).await;
    let late =
        model.infer(bench.batch(&[TAKES_A_MINUTE, 1.0]), &bench.call(Duration::from_secs(30))).await.unwrap_err();
    assert_eq!(late, Error::Late { model: "fake".to_owned(), stage: Stage::BetweenRuns });
    assert_eq!(bench.log(), [vec![TAKES_A_MINUTE]]);
    assert_eq!(bench.made(), 1, "the session was replaced");
}

#[tokio::test]
async fn a_cancelled_batch_leaves_the_queue_without_a_run() {
    let bench = Bench::new();
    let model = bench.start(1, 8, 4).await;
    let call = bench.patient();
    let mut running = Box::pin(model.infer(bench.batch(&[HELD]), &call));
    assert!(begin(running.as_mut()).await.is_none());
    bench.entered.recv().unwrap();
    let mut cancelled = Box::pin(model.infer(bench.batch(&[1.0]), &call));
    assert!(begin(cancelled.as_mut()).await.is_none());
    drop(cancelled);
    bench.release.send(()).unwrap();
    running.await.unwrap();
    model.shutdown().await;
    assert_eq!(bench.log(), [vec![HELD]]);
}

#[tokio::test]
async fn a_panic_or_an_error_fails_its_own_batch_and_replaces_a_session_in_an_unknown_state() {
    let bench = Bench::new();
    let model = bench.start(1, 8, 4).await;
    let run = |reason: &str| Error::Run { model: "fake".to_owned(), reason: reason.to_owned() };
    let lost_rows = Error::OutputShape { model: "fake".to_owned(), output: "y".to_owned(), shape: vec![1], rows: 1 };
    let cases = [
        (PANIC, Error::Panicked { model: "fake".to_owned(), reason: "the model is broken".to_owned() }, 1),
        (FAIL, run("the value is unknown"), 1),
        (REFUSED, run("the index is out of bounds"), 0),
        (LOSES_ROWS, lost_rows, 0),
    ];
    for (value, expected, replaced) in cases {
        let made = bench.made();
        assert_eq!(model.infer(bench.batch(&[value]), &bench.patient()).await.unwrap_err(), expected);
        assert_eq!(answer(&model.infer(bench.batch(&[1.0]), &bench.patient()).await.unwrap()), [2.0]);
        assert_eq!(bench.made(), made + replaced, "sessions after {expected}");
    }
    assert!(model.is_ready());
}

/// Until `count` replicas have a session.
async fn until_ready(model: &ModelHandle, count: usize) {
    let mut ready = model.shared.ready.clone();
    let limit = Duration::from_secs(30);
    tokio::time::timeout(limit, ready.wait_for(|ready| *ready == count)).await.unwrap().unwrap();
}

#[tokio::test]
async fn while_no_replica_has_a_session_batches_fail_at_once_and_it_comes_back_by_itself() {
    let bench = Bench::new();
    let model = bench.start(1, 8, 4).await;
    bench.source.broken.store(true, Ordering::SeqCst);
    model.infer(bench.batch(&[PANIC]), &bench.patient()).await.unwrap_err();
    for _ in 0..100 {
        let refused = model.infer(bench.batch(&[1.0]), &bench.patient()).await.unwrap_err();
        assert_eq!(refused, Error::NoSession { model: "fake".to_owned(), reason: "no memory".to_owned() });
        assert_eq!(refused.code(), tidegate_catalog::ErrorCode::Unavailable);
    }
    assert!(!model.is_ready());
    bench.source.broken.store(false, Ordering::SeqCst);
    until_ready(&model, 1).await;
    assert_eq!(answer(&model.infer(bench.batch(&[1.0]), &bench.patient()).await.unwrap()), [2.0]);
}

#[tokio::test]
async fn a_replica_without_a_session_leaves_the_queue_to_the_others() {
    let bench = Bench::new();
    let model = bench.start(2, 8, 4).await;
    bench.source.broken.store(true, Ordering::SeqCst);
    model.infer(bench.batch(&[PANIC]), &bench.patient()).await.unwrap_err();
    // it fails to make its session in the meantime, and another run would show it if it took a batch
    for value in 0..200_u8 {
        let inference = model.infer(bench.batch(&[value.into()]), &bench.patient()).await.unwrap();
        assert_eq!(answer(&inference), [f32::from(value) * 2.0]);
    }
    until_ready(&model, 1).await;
    model.infer(bench.batch(&[PANIC]), &bench.patient()).await.unwrap_err();
    let refused = model.infer(bench.batch(&[1.0]), &bench.patient()).await.unwrap_err();
    assert!(matches!(refused, Error::NoSession { .. }), "with the last session gone: {refused}");
    bench.source.broken.store(false, Ordering::SeqCst);
    until_ready(&model, 2).await;
    assert_eq!(answer(&model.infer(bench.batch(&[1.0]), &bench.patient()).await.unwrap()), [2.0]);
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_a_session_that_cannot_be_made() {
    for replicas in [1, 2] {
        let bench = Bench::new();
        let model = bench.start(replicas, 8, 4).await;
        bench.source.broken.store(true, Ordering::SeqCst);
        model.infer(bench.batch(&[PANIC]), &bench.patient()).await.unwrap_err();
        tokio::time::timeout(Duration::from_secs(30), model.shutdown()).await.unwrap();
    }
}

#[tokio::test]
async fn a_session_whose_making_panics_is_one_that_cannot_be_made() {
    let bench = Bench::new();
    bench.source.panics.store(true, Ordering::SeqCst);
    let refused = bench.try_start(1, 8, 4).await.unwrap_err();
    assert_eq!(refused.to_string(), "model models/fake.onnx did not start: making it panicked: no memory at all");
    bench.source.panics.store(false, Ordering::SeqCst);
    let model = bench.start(1, 8, 4).await;
    bench.source.panics.store(true, Ordering::SeqCst);
    model.infer(bench.batch(&[PANIC]), &bench.patient()).await.unwrap_err();
    let refused = model.infer(bench.batch(&[1.0]), &bench.patient()).await.unwrap_err();
    assert!(matches!(refused, Error::NoSession { .. }), "{refused}");
    bench.source.panics.store(false, Ordering::SeqCst);
    until_ready(&model, 1).await;
}

/// A clock that panics when a model's thread reads it.
#[derive(Debug)]
struct TreacherousClock(Arc<ManualClock>, AtomicBool);

impl Clock for TreacherousClock {
    fn event_now(&self) -> Micros {
        self.0.event_now()
    }

    fn wall_now(&self) -> Micros {
        self.0.wall_now()
    }

    fn monotonic(&self) -> tidegate_catalog::Monotonic {
        let owner = std::thread::current().name().is_some_and(|name| name.starts_with("model-"));
        assert!(!(owner && self.1.load(Ordering::SeqCst)), "the clock is broken");
        self.0.monotonic()
    }
}

#[tokio::test]
async fn an_owner_that_panics_outside_a_run_tells_its_caller_and_serves_on() {
    let bench = Bench::new();
    let clock = Arc::new(TreacherousClock(Arc::clone(&bench.clock), AtomicBool::new(false)));
    let model = bench.try_start_by(Arc::clone(&clock) as Arc<dyn Clock>, 1, 8, 4).await.unwrap();
    for _ in 0..3 {
        clock.1.store(true, Ordering::SeqCst);
        let lost = model.infer(bench.batch(&[1.0]), &bench.patient()).await.unwrap_err();
        assert_eq!(lost.code(), tidegate_catalog::ErrorCode::Unavailable, "{lost}");
        clock.1.store(false, Ordering::SeqCst);
        assert!(model.infer(bench.batch(&[1.0]), &bench.patient()).await.is_ok());
        assert!(model.is_ready());
    }
}

#[tokio::test]
async fn replicas_run_side_by_side() {
    let bench = Bench::new();
    let model = bench.start(2, 8, 4).await;
    let call = bench.patient();
    let mut first = Box::pin(model.infer(bench.batch(&[HELD]), &call));
    let mut second = Box::pin(model.infer(bench.batch(&[HELD]), &call));
    assert!(begin(first.as_mut()).await.is_none() && begin(second.as_mut()).await.is_none());
    // both are inside before either is let go
    bench.entered.recv().unwrap();
    bench.entered.recv().unwrap();
    bench.release.send(()).unwrap();
    bench.release.send(()).unwrap();
    first.await.unwrap();
    second.await.unwrap();
}

#[tokio::test]
async fn a_shutdown_answers_what_was_taken_and_takes_no_more() {
    let bench = Bench::new();
    let model = bench.start(1, 8, 4).await;
    let call = bench.patient();
    let mut running = Box::pin(model.infer(bench.batch(&[HELD]), &call));
    assert!(begin(running.as_mut()).await.is_none());
    bench.entered.recv().unwrap();
    let mut queued = Box::pin(model.infer(bench.batch(&[1.0]), &call));
    assert!(begin(queued.as_mut()).await.is_none());
    let mut shutdown = Box::pin(model.shutdown());
    assert!(begin(shutdown.as_mut()).await.is_none());
    assert!(!model.is_ready());
    let refused = model.infer(bench.batch(&[2.0]), &call).await.unwrap_err();
    assert_eq!(refused, Error::ShutDown { model: "fake".to_owned() });
    bench.release.send(()).unwrap();
    assert_eq!(answer(&running.await.unwrap()), [-6.0]);
    assert_eq!(answer(&queued.await.unwrap()), [2.0]);
    shutdown.await;
    assert_eq!(bench.log(), [vec![HELD], vec![1.0]]);
}

#[tokio::test]
async fn the_threads_end_with_the_last_handle() {
    let bench = Bench::new();
    let model = bench.start(2, 8, 4).await;
    let mut running = model.shared.running.clone();
    let other = model.clone();
    drop(model);
    assert_eq!(answer(&other.infer(bench.batch(&[1.0]), &bench.patient()).await.unwrap()), [2.0]);
    drop(other);
    let limit = Duration::from_secs(30);
    let ended =
        tokio::time::timeout(limit, async move { running.wait_for(|running| *running == 0).await.map(|count| *count) });
    assert_eq!(ended.await.unwrap().unwrap(), 0);
}

#[tokio::test]
async fn a_batch_of_another_plan_or_without_rows_is_refused() {
    let bench = Bench::new();
    let model = bench.start(1, 8, 4).await;
    let spec = TensorSpec { name: "z".to_owned(), element: ElementType::Float32, dims: vec![Dim::Free] };
    let float = tidegate_catalog::FeatureType::Scalar(tidegate_catalog::ScalarType::Float32);
    let other = Signature { inputs: [spec].into(), outputs: [].into() };
    let other = fit(&other, &[Column { name: "z", feature_type: float }]).unwrap();
    let refused = model.infer(other.batch(1), &bench.patient()).await.unwrap_err();
    assert_eq!(refused, Error::OtherInputs { model: "fake".to_owned() });
    let refused = model.infer(bench.batch(&[]), &bench.patient()).await.unwrap_err();
    assert_eq!(refused, Error::NoRows { model: "fake".to_owned() });
}

#[tokio::test]
async fn a_recycled_batch_is_used_again_and_is_clean() {
    let bench = Bench::new();
    let model = bench.start(1, 8, 4).await;
    let mut input = model.input(2);
    input.put_f32(1, bench.slot, 7.0).unwrap();
    let inference = model.infer(input, &bench.patient()).await.unwrap();
    model.recycle(inference.input);
    assert_eq!(model.input(2), bench.batch(&[0.0, 0.0]));
    assert!(model.shared.spare.lock().is_empty());
}

#[tokio::test]
async fn a_batch_larger_than_a_run_is_not_kept() {
    let bench = Bench::new();
    let model = bench.start(1, 2, 4).await;
    for (rows, kept) in [(3, 0), (2, 1)] {
        model.recycle(bench.plan.batch(rows));
        assert_eq!(model.shared.spare.lock().len(), kept, "{rows} rows");
    }
}

#[tokio::test]
async fn a_model_that_asks_for_more_than_a_machine_has_does_not_start() {
    let bench = Bench::new();
    let refused = bench.try_start(4_000_000_000, 8, 4).await.unwrap_err();
    let words = "model models/fake.onnx did not start: 4000000000 replicas are asked for, the most is 64";
    assert_eq!(refused.to_string(), words);
    let refused = bench.try_start(1, 2_000_000_000, 4).await.unwrap_err();
    let words = "model models/fake.onnx did not start: 2000000000 rows in one run are asked for, the most is 10000";
    assert_eq!(refused.to_string(), words);
    assert_eq!(bench.made(), 0);
}

#[test]
fn what_a_caller_reads_never_holds_the_runtimes_own_words() {
    let error = Error::Run { model: "fake".to_owned(), reason: "/models/fake.onnx line 3".to_owned() };
    assert_eq!(error.client_message(), "model fake failed this batch");
}
