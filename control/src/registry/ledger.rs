//! The run ledger: what the materializer did, in which generation, over which files.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_catalog::{FieldNumber, GenerationState, Micros};

use super::Registry;
use crate::{
    Error, Interval, Reproducibility, Run, RunEnd, RunFilter, RunId, RunOutcome, RunStart, RunState, SourceFile,
    storage::{
        Connection, from_db,
        runs::{self, RunRow, Wanted},
        to_db,
    },
};

impl Registry {
    /// Enters a run before its first write.
    /// # Errors
    /// [`Error::NotWritable`] unless its field is the view's building or serving generation in the newest snapshot.
    pub async fn begin_run(&self, start: &RunStart) -> Result<RunId, Error> {
        let mut write = self.storage.write().await?;
        let newest = self.newest_on(&mut write).await?.ok_or(Error::NothingApplied)?;
        let generations = newest.generations.get(&start.view).map_or(&[][..], Vec::as_slice);
        let living = |state| matches!(state, GenerationState::Building | GenerationState::Serving);
        if !generations.iter().any(|g| g.field == start.field && living(g.state)) {
            return Err(Error::NotWritable { view: start.view.chars().take(64).collect(), field: start.field });
        }
        let row = begun(start, self.clock.wall_now());
        let id = runs::insert(&mut write, &row).await.map_err(|source| self.storage.failed(source))?;
        self.storage.commit(write).await?;
        Ok(RunId(from_db(id)))
    }

    /// Enters a run's end, and whether its content contradicts an earlier run over the same sources.
    /// # Errors
    /// [`Error::NotRunning`] when it is over already, or was never begun.
    pub async fn finish_run(&self, run: RunId, end: &RunEnd) -> Result<Run, Error> {
        let mut write = self.storage.write().await?;
        let row = runs::by_id(&mut write, to_db(run.0)).await.map_err(|source| self.storage.failed(source))?;
        let running = row.filter(|row| row.state == RunState::Running.as_str());
        let mut row = running.ok_or(Error::NotRunning { run })?;
        finish(&mut row, end, self.clock.wall_now());
        if end.outcome == RunOutcome::Acknowledged && row.content_hash.is_some() {
            let contradicted = runs::contradicted(&mut write, &row).await;
            row.not_reproducible |= contradicted.map_err(|source| self.storage.failed(source))?;
        }
        runs::update(&mut write, &row).await.map_err(|source| self.storage.failed(source))?;
        self.storage.commit(write).await?;
        self.run(row)
    }

    /// The runs that fit `filter`, newest first.
    /// # Errors
    /// When the database fails.
    pub async fn runs(&self, filter: &RunFilter) -> Result<Vec<Run>, Error> {
        let mut connection = self.storage.read().await?;
        let wanted = Wanted {
            view: filter.view.as_deref(),
            field: filter.field.map(|field| field.0.into()),
            state: filter.state.map(RunState::as_str),
            limit: filter.limit.map(i64::from),
        };
        let rows = runs::list(&mut connection, wanted).await.map_err(|source| self.storage.failed(source))?;
        rows.into_iter().map(|row| self.run(row)).collect()
    }

    /// The intervals of a generation's acknowledged runs, newest run first.
    /// # Errors
    /// When the database fails.
    pub async fn acknowledged(&self, view: &str, field: FieldNumber) -> Result<Vec<Interval>, Error> {
        let mut connection = self.storage.read().await?;
        let runs = self.runs_on(&mut connection, view, Some(field), Some(RunState::Acknowledged)).await?;
        Ok(runs.into_iter().map(|run| run.start.interval).collect())
    }

    /// The greatest end of a generation's acknowledged runs: where the next run begins unless told otherwise.
    /// # Errors
    /// When the database fails.
    pub async fn acknowledged_end(&self, view: &str, field: FieldNumber) -> Result<Option<Micros>, Error> {
        Ok(self.acknowledged(view, field).await?.into_iter().map(|interval| interval.end).max())
    }

    /// Whether `view` gave the same content whenever it ran again over the same sources, as far as the runs of its present
    /// generations tell.
    /// # Errors
    /// When the database fails.
    pub async fn reproducibility(&self, view: &str) -> Result<Reproducibility, Error> {
        let mut connection = self.storage.read().await?;
        let Some(newest) = self.newest_on(&mut connection).await? else { return Ok(Reproducibility::Unknown) };
        let present = [newest.serving(view), newest.building(view)];
        let fields = present.into_iter().flatten().map(|generation| generation.field).collect::<Vec<_>>();
        let mut runs = self.runs_on(&mut connection, view, None, Some(RunState::Acknowledged)).await?;
        runs.retain(|run| fields.contains(&run.start.field));
        Ok(judge(&runs))
    }

    /// Rows that each view's newest acknowledged, non-empty run read, by view: what a plan shows as the cost of building anew.
    /// # Errors
    /// When the database fails.
    pub async fn last_rows(&self) -> Result<BTreeMap<String, u64>, Error> {
        let mut connection = self.storage.read().await?;
        let rows = runs::last_rows(&mut connection).await.map_err(|source| self.storage.failed(source))?;
        Ok(rows.into_iter().map(|(view, rows)| (view, from_db(rows))).collect())
    }

    /// Marks every running run as abandoned and answers them. Only the owner of the state folder may call it, once, before
    /// it begins runs: whoever began these is gone.
    /// # Errors
    /// When the database fails.
    pub async fn abandon_unfinished(&self) -> Result<Vec<RunId>, Error> {
        let mut write = self.storage.write().await?;
        let wanted = Wanted { state: Some(RunState::Running.as_str()), ..Wanted::default() };
        let rows = runs::list(&mut write, wanted).await.map_err(|source| self.storage.failed(source))?;
        let mut abandoned = Vec::new();
        for mut row in rows {
            RunState::Abandoned.as_str().clone_into(&mut row.state);
            runs::update(&mut write, &row).await.map_err(|source| self.storage.failed(source))?;
            abandoned.push(RunId(from_db(row.id)));
        }
        self.storage.commit(write).await?;
        abandoned.sort();
        Ok(abandoned)
    }

    pub(super) async fn runs_on(
        &self,
        connection: &mut Connection,
        view: &str,
        field: Option<FieldNumber>,
        state: Option<RunState>,
    ) -> Result<Vec<Run>, Error> {
        let (field, state) = (field.map(|field| field.0.into()), state.map(RunState::as_str));
        let rows = runs::list(connection, Wanted { view: Some(view), field, state, limit: None }).await;
        rows.map_err(|source| self.storage.failed(source))?.into_iter().map(|row| self.run(row)).collect()
    }

    fn run(&self, row: RunRow) -> Result<Run, Error> {
        let damaged = |what: &str| self.storage.damaged(format!("run {}: its {what} cannot be read", row.id));
        let start = RunStart {
            view: row.view.clone(),
            field: FieldNumber(u32::try_from(row.field).map_err(|_| damaged("field number"))?),
            fingerprint: row.fingerprint.clone(),
            interval: Interval { start: row.start_us.map(Micros), end: Micros(row.end_us) },
            sources: serde_json::from_str(&row.sources).map_err(|_| damaged("list of sources"))?,
            snapshot_version: from_db(row.snapshot_version),
            definitions_hash: row.definitions_hash.clone(),
        };
        Ok(Run {
            id: RunId(from_db(row.id)),
            start,
            state: RunState::from_name(&row.state).ok_or_else(|| damaged("state"))?,
            started_at: Micros(row.started_at_us),
            ended_at: row.ended_at_us.map(Micros),
            rows_read: from_db(row.rows_read),
            rows_written: from_db(row.rows_written),
            counts: serde_json::from_str(&row.counts).map_err(|_| damaged("counts"))?,
            error: row.error,
            content_hash: row.content_hash,
            not_reproducible: row.not_reproducible,
        })
    }
}

fn begun(start: &RunStart, now: Micros) -> RunRow {
    let mut sources = start.sources.clone();
    // one order, so that equal lists are equal texts
    sources.sort();
    RunRow {
        id: 0,
        view: start.view.clone(),
        field: start.field.0.into(),
        fingerprint: start.fingerprint.clone(),
        start_us: start.interval.start.map(|start| start.0),
        end_us: start.interval.end.0,
        sources: serde_json::to_string(&sources).expect("source files are plain values"),
        snapshot_version: to_db(start.snapshot_version),
        definitions_hash: start.definitions_hash.clone(),
        state: RunState::Running.as_str().to_owned(),
        started_at_us: now.0,
        ended_at_us: None,
        error: None,
        rows_read: 0,
        rows_written: 0,
        counts: String::new(),
        content_hash: None,
        not_reproducible: false,
    }
}

fn finish(row: &mut RunRow, end: &RunEnd, now: Micros) {
    let (state, error) = match &end.outcome {
        RunOutcome::Acknowledged => (RunState::Acknowledged, None),
        RunOutcome::Failed { error } => (RunState::Failed, Some(error.clone())),
        RunOutcome::Interrupted => (RunState::Interrupted, None),
    };
    state.as_str().clone_into(&mut row.state);
    row.error = error;
    row.ended_at_us = Some(now.0);
    row.rows_read = to_db(end.rows_read);
    row.rows_written = to_db(end.rows_written);
    row.counts = end.counts.to_string();
    row.content_hash.clone_from(&end.content_hash);
    row.not_reproducible = end.not_reproducible;
}

/// `runs` are acknowledged, newest first.
fn judge(runs: &[Run]) -> Reproducibility {
    if let Some(run) = runs.iter().find(|run| run.not_reproducible) {
        return Reproducibility::Differs { run: run.id };
    }
    let mut seen = BTreeSet::<(FieldNumber, Option<Micros>, Micros, &[SourceFile])>::new();
    let hashed = runs.iter().filter(|run| run.content_hash.is_some() && !run.start.interval.is_empty());
    let repeated = hashed.map(|run| {
        let interval = run.start.interval;
        seen.insert((run.start.field, interval.start, interval.end, &run.start.sources))
    });
    // every run is looked at, so that the set holds them all
    if repeated.filter(|first| !first).count() > 0 { Reproducibility::NoDifference } else { Reproducibility::Unknown }
}
