//! A snapshot is its bytes: equal ones have equal bytes, newer formats are refused by number.

use tidegate_catalog::{Generation, GenerationState, Snapshot, snapshot::FORMAT};

use crate::sample;

#[test]
fn a_snapshot_reads_back_with_every_bit_of_its_defaults() {
    let snapshot = sample::snapshot();
    let again = Snapshot::from_bytes(&snapshot.to_bytes()).unwrap();
    assert_eq!(again, snapshot);
    assert_eq!(again.to_bytes(), snapshot.to_bytes());
    assert_eq!(again.hash(), snapshot.hash());
    let mut other = snapshot.clone();
    other.version += 1;
    assert_ne!(other.hash(), snapshot.hash());
}

#[test]
fn a_newer_format_and_bytes_that_are_none_are_refused() {
    let mut newer = sample::snapshot();
    newer.format = FORMAT + 1;
    let words = Snapshot::from_bytes(&newer.to_bytes()).unwrap_err().to_string();
    assert_eq!(words, "snapshot has format 2, this version reads up to 1; upgrade tidegate");
    // also when the rest of it means nothing to this version
    let words = Snapshot::from_bytes(br#"{"format": 9, "tide": "high"}"#).unwrap_err().to_string();
    assert!(words.contains("format 9"), "{words}");
    let whole = sample::snapshot().to_bytes();
    for end in (0..whole.len()).step_by(97) {
        assert!(Snapshot::from_bytes(&whole[..end]).is_err());
    }
}

#[test]
fn readers_read_the_serving_generation_and_writers_fill_the_one_being_built() {
    let snapshot = sample::snapshot();
    let field = |generation: Option<&Generation>| generation.map(|generation| generation.field.0);
    assert_eq!(field(snapshot.serving("by_sql")), Some(2));
    assert_eq!(field(snapshot.building("by_sql")), Some(3));
    assert_eq!(field(snapshot.writing("by_sql")), Some(3));
    assert_eq!(field(snapshot.serving("by_source")), None);
    assert_eq!(field(snapshot.writing("nothing")), None);
    let mut built = snapshot;
    built.generations.get_mut("by_sql").unwrap().retain(|one| one.state == GenerationState::Serving);
    assert_eq!(field(built.writing("by_sql")), Some(2));
}

#[test]
fn a_key_set_is_named_by_its_sorted_join_keys() {
    let definitions = sample::snapshot().definitions;
    assert_eq!(definitions.views["by_sql"].key_set_name(), "bay,gate");
    assert_eq!(definitions.views["by_source"].key_set_name(), "");
}
