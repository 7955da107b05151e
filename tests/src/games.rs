//! A small project of the tests' own: games of players, a view over them, a service, and an endpoint with a model that
//! adds up, so that a prediction tells which row it was made of.

use std::sync::Arc;

use arrow_array::{Float32Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use tidegate_catalog::Micros;

use crate::{Sandbox, root};

/// The project's definitions. The model answers `x + 2 a + 3 b + 4 c + 0.5`.
pub const DEFINITIONS: &str = "\
kind: Entity
name: player
join_keys: [{name: player, type: string}]
---
kind: DataSource
name: games
parquet: {path: data/games.parquet}
---
kind: FeatureView
name: form
entities: [player]
sql: |
  SELECT player, played_at, a, b, c
  FROM games
timestamp_field: played_at
features:
  - {name: a, type: float32, default: 0}
  - {name: b, type: float32, default: 0}
  - {name: c, type: float32, default: 0}
---
kind: FeatureService
name: rank
request: [{name: x, type: float32}]
features: [\"form:*\"]
---
kind: Endpoint
name: rank
feature_service: rank
model: {path: models/affine.onnx}
";

/// One row of the source.
#[derive(Clone, Debug)]
pub struct Game {
    /// Who; `None` is a null key.
    pub player: Option<String>,
    /// When, in RFC 3339.
    pub at: String,
    /// a, b and c.
    pub values: [f32; 3],
}

/// A game of `player`.
pub fn game(player: &str, at: &str, values: [f32; 3]) -> Game {
    Game { player: Some(player.to_owned()), at: at.to_owned(), values }
}

/// Games as a Parquet file.
pub fn parquet(games: &[Game]) -> Vec<u8> {
    let time = |game: &Game| Micros::parse(&game.at).expect("tests write times in RFC 3339").0;
    let column = |index: usize| Arc::new(games.iter().map(|game| Some(game.values[index])).collect::<Float32Array>());
    let batch = RecordBatch::try_from_iter_with_nullable([
        ("player", Arc::new(games.iter().map(|game| game.player.as_deref()).collect::<StringArray>()) as _, true),
        (
            "played_at",
            Arc::new(TimestampMicrosecondArray::from_iter_values(games.iter().map(time)).with_timezone("UTC")) as _,
            true,
        ),
        ("a", column(0) as _, true),
        ("b", column(1) as _, true),
        ("c", column(2) as _, true),
    ]);
    tidegate_offline::parquet_bytes(&batch.expect("the columns have one length")).expect("a batch can be written")
}

impl Sandbox {
    /// A project over these games.
    pub fn games(games: &[Game]) -> Self {
        let sandbox = Self::empty();
        sandbox.write("tidegate.yaml", "project: games\n");
        sandbox.write("definitions.yaml", DEFINITIONS);
        sandbox.write("data/games.parquet", parquet(games));
        sandbox.copy("models/affine.onnx", &root().join("inference/tests/models/affine.onnx"));
        sandbox
    }

    /// A project over `count` players with a game each, and values that tell them apart.
    pub fn many_games(count: u32) -> Self {
        let one = |number: u32| game(&format!("player-{number:07}"), "2026-01-02T00:00:00Z", [number as f32, 1.0, 2.0]);
        Self::games(&(0..count).map(one).collect::<Vec<_>>())
    }
}
