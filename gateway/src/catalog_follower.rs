//! Follows the feed: a newer snapshot is loaded beside the one that serves and swapped in whole, within a second of its
//! publication. One that cannot be loaded changes nothing but `/health`; it is tried again more slowly, for a missing
//! model file may come.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{
    app::App,
    feed::{Published, SnapshotFeed},
    last_good::LastGood,
    models::ModelLoader,
    served::{LoadFrom, Origin, Served},
};

/// Polls between two tries of a snapshot that could not be loaded.
const POLLS_BEFORE_RETRY: u32 = 20;
/// How long one question to the feed may take.
const FEED_TIMEOUT: Duration = Duration::from_secs(2);

/// What `/health` says about following.
#[derive(Debug, Default)]
pub(crate) struct FollowState {
    facts: Mutex<FollowFacts>,
}

/// The facts of [`FollowState`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FollowFacts {
    /// Why the feed's last answer was none; `None` while it answers.
    pub(crate) feed_error: Option<&'static str>,
    /// The version that could not be loaded, and why, in words for anybody.
    pub(crate) refused: Option<(u64, String)>,
}

/// Asks, loads, swaps.
pub(crate) struct CatalogFollower {
    app: Arc<App>,
    feed: Arc<dyn SnapshotFeed>,
    from: LoadFrom,
    last_good: LastGood,
    polls_since_refusal: u32,
}

impl FollowState {
    pub(crate) fn facts(&self) -> FollowFacts {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, FollowFacts> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CatalogFollower {
    pub(crate) fn new(app: Arc<App>, feed: Arc<dyn SnapshotFeed>, models: ModelLoader) -> Self {
        let last_good = LastGood::at(app.config.last_good.clone());
        let from = LoadFrom { models, clock: Arc::clone(&app.clock), page: app.page.clone() };
        Self { app, feed, from, last_good, polls_since_refusal: 0 }
    }

    /// The first load: the feed's newest; what is on disk where the feed does not answer or its newest cannot be loaded. A
    /// feed that answers that nothing was published is believed: the copy on disk is then another registry's.
    pub(crate) async fn start(&mut self) {
        self.poll().await;
        if self.app.served.load().is_some() {
            return;
        }
        let FollowFacts { feed_error, refused } = self.app.follow.facts();
        if feed_error.is_none() && refused.is_none() {
            tracing::warn!("no catalog yet: nothing was applied");
            return;
        }
        match self.last_good.read().await {
            Ok(Some(bytes)) => self.load(&Published { version: 0, bytes }, Origin::LastGood).await,
            Ok(None) => tracing::warn!("no catalog yet: the feed gives none and none was kept"),
            Err(error) => tracing::error!(%error, "the last good catalog cannot be read"),
        }
    }

    /// Follows until it is dropped.
    pub(crate) async fn follow(&mut self) -> Infallible {
        let mut every = tokio::time::interval(self.app.config.poll_interval);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            every.tick().await;
            self.poll().await;
        }
    }

    async fn poll(&mut self) {
        let known = self.known();
        let asked = tokio::time::timeout(FEED_TIMEOUT, self.feed.newest(known)).await;
        let answer = match asked {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return self.feed_failed("the registry cannot be read", &error.to_string()),
            Err(_) => return self.feed_failed("the registry did not answer in time", "too slow"),
        };
        if self.app.follow.lock().feed_error.take().is_some() {
            tracing::info!("the feed answers again");
        }
        if let Some(published) = answer {
            self.load(&published, Origin::Feed).await;
        }
    }

    /// The version not to be told again: the one refused, until it is time to try it again, else the one that serves.
    fn known(&mut self) -> Option<u64> {
        let refused = self.app.follow.lock().refused.as_ref().map(|(version, _)| *version);
        if let Some(version) = refused {
            self.polls_since_refusal += 1;
            if self.polls_since_refusal < POLLS_BEFORE_RETRY {
                return Some(version);
            }
            self.polls_since_refusal = 0;
        }
        // a copy from disk may be of any age and of another registry: the feed is asked for whatever it has
        let served = self.app.served.load();
        served.as_ref().filter(|served| served.origin == Origin::Feed).map(|served| served.version)
    }

    async fn load(&mut self, published: &Published, origin: Origin) {
        let previous = self.app.served.load_full();
        let loaded = Served::load(&published.bytes, origin, &self.from, previous.as_deref()).await;
        match loaded {
            Ok(served) => {
                let served = Arc::new(served);
                served.announce();
                let version = served.version;
                self.app.metrics.catalog_version.set(version as f64);
                self.app.served.store(Some(served));
                self.app.served_version.send_replace(Some(version));
                self.app.follow.lock().refused = None;
                if origin == Origin::Feed
                    && let Err(error) = self.last_good.keep(published.bytes.clone()).await
                {
                    tracing::error!(%error, "the catalog cannot be kept for a start without the registry");
                }
            }
            Err(error) => {
                let refused = (published.version, error.client_message());
                let first = self.app.follow.lock().refused.replace(refused);
                self.app.metrics.catalog_refused.increment(1);
                if first.is_none_or(|(version, _)| version != published.version) {
                    tracing::error!(
                        version = published.version,
                        %error,
                        "catalog refused, the old one serves"
                    );
                }
            }
        }
    }

    /// `told` is for `/health`, `error` for the log: it may name files.
    fn feed_failed(&self, told: &'static str, error: &str) {
        let before = self.app.follow.lock().feed_error.replace(told);
        if before.is_none() {
            tracing::warn!(error, "the feed does not answer, the catalog stays as it is");
        }
    }
}

impl std::fmt::Debug for CatalogFollower {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CatalogFollower").field("from", &self.from).finish_non_exhaustive()
    }
}
