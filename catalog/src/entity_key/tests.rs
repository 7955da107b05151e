//! Entity keys: two different entities never share bytes, and foreign bytes are refused.
#![expect(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "a test may panic")]

use proptest::{collection::vec, prelude::*, sample::select};

use super::*;

fn component() -> impl Strategy<Value = OwnedKeyValue> {
    // texts that join, split, quote or normalise into each other
    let texts = [
        "", "1", "2", "11", "12", "112", "\0", "a\0", "|", ",", ":", "a", "A", "é", "e\u{301}", "🦀", "1\u{1}2",
        "\u{8}", "1\u{8}", "\u{8}1",
    ];
    let text = prop_oneof![3 => select(texts.to_vec()).prop_map(str::to_owned), 1 => "\\PC{0,9}"];
    prop_oneof![
        any::<bool>().prop_map(OwnedKeyValue::Bool),
        prop_oneof![-2_i64..3, any::<i64>()].prop_map(OwnedKeyValue::Int64),
        prop_oneof![-2_i64..3, any::<i64>()].prop_map(|value| OwnedKeyValue::Timestamp(Micros(value))),
        prop_oneof![-2_i32..3, any::<i32>()].prop_map(OwnedKeyValue::Date),
        text.clone().prop_map(OwnedKeyValue::String),
        prop_oneof![text.prop_map(String::into_bytes), vec(any::<u8>(), 0..200)].prop_map(OwnedKeyValue::Bytes),
    ]
}

fn parts() -> impl Strategy<Value = KeyParts> {
    let number =
        || prop_oneof![3 => 1_u32..4, 1 => 1..=u32::MAX, 1 => select(vec![127, 128, 16_383, 16_384, u32::MAX])];
    (number(), number(), vec(component(), 0..4)).prop_map(|(project, key_set, values)| KeyParts {
        project: ProjectNumber(project),
        key_set: KeySetNumber(key_set),
        values,
    })
}

fn encode(parts: &KeyParts) -> EntityKey {
    let values = parts.values.iter().map(OwnedKeyValue::borrow);
    EntityKey::encode(parts.project, parts.key_set, values, &mut BytesMut::new()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_024, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn two_keys_share_bytes_only_when_they_are_equal(left in parts(), right in parts()) {
        prop_assert_eq!(encode(&left) == encode(&right), left == right);
    }

    // 8 is the tag of a string and 1 a length: letters that could pass for structure
    #[test]
    fn moving_a_letter_from_one_component_to_the_next_makes_another_key(text in "[a\x01\x08]{1,6}", cut in 0_usize..6) {
        let of = |cut: usize| {
            let (left, right) = text.split_at(cut);
            encode(&KeyParts {
                project: ProjectNumber(1),
                key_set: KeySetNumber(1),
                values: vec![OwnedKeyValue::String(left.to_owned()), OwnedKeyValue::String(right.to_owned())],
            })
        };
        let cut = cut.min(text.len() - 1);
        prop_assert_ne!(of(cut), of(cut + 1));
    }

    #[test]
    fn a_key_comes_apart_into_what_it_was_made_of(parts in parts()) {
        prop_assert_eq!(encode(&parts).parts().unwrap(), parts);
    }

    #[test]
    fn any_bytes_are_a_key_or_refused(bytes in vec(prop_oneof![3 => 0_u8..10, 1 => any::<u8>()], 0..60)) {
        let stored = EntityKey::from_stored(Bytes::from(bytes));
        if let Ok(parts) = stored.parts() {
            prop_assert_eq!(encode(&parts), stored, "what is taken is exactly what is written");
        }
    }

    #[test]
    fn a_key_with_changed_or_missing_bytes_is_another_key_or_refused(
        parts in parts(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = encode(&parts).as_bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        bytes.truncate(cut.index(bytes.len()) + 1);
        let stored = EntityKey::from_stored(Bytes::from(bytes));
        if let Ok(parts) = stored.parts() {
            prop_assert_eq!(encode(&parts), stored);
        }
    }
}

fn key(values: &[KeyValue<'_>]) -> EntityKey {
    EntityKey::encode(ProjectNumber(1), KeySetNumber(2), values.iter().copied(), &mut BytesMut::new()).unwrap()
}

#[test]
fn case_12_composite_keys_and_odd_texts_never_cross() {
    use KeyValue::{Bytes, String};
    let long = "x".repeat(4_000);
    let keys = [
        key(&[]),
        key(&[String("1"), String("12")]),
        key(&[String("11"), String("2")]),
        key(&[String("112"), String("")]),
        key(&[String(""), String("112")]),
        key(&[String("1|12")]),
        key(&[String("1\u{0}12")]),
        key(&[String("1"), String("\u{8}\u{1}")]),
        key(&[String("1\u{8}"), String("\u{1}")]),
        key(&[String("1")]),
        key(&[Bytes(b"1")]),
        key(&[Bytes(&[0xff, 0xfe])]),
        key(&[String("🦀")]),
        key(&[String(&long)]),
        key(&[String(&long), String("")]),
    ];
    for (index, key) in keys.iter().enumerate() {
        assert!(keys.iter().skip(index + 1).all(|other| other != key), "{:?}", key.parts());
    }
}

#[test]
fn case_14_integers_meet_whatever_their_width_and_texts_do_not_normalise() {
    assert_eq!(key(&[KeyValue::Int64(i64::from(7_i32))]), key(&[KeyValue::Int64(7)]));
    assert_ne!(key(&[KeyValue::Int64(7)]), key(&[KeyValue::String("7")]));
    assert_ne!(key(&[KeyValue::String("é")]), key(&[KeyValue::String("e\u{301}")]), "composed and decomposed");
    assert_ne!(key(&[KeyValue::String("aa")]), key(&[KeyValue::String("AA")]), "case");
    assert_ne!(key(&[KeyValue::Date(0)]), key(&[KeyValue::Timestamp(Micros(0))]));
    assert_ne!(key(&[KeyValue::Bool(true)]), key(&[KeyValue::Int64(1)]));
}

#[test]
fn eight_kibibytes_are_a_key_and_one_byte_more_is_refused() {
    let mut buffer = BytesMut::new();
    let mut sized = |letters: usize| {
        let text = "x".repeat(letters);
        EntityKey::encode(ProjectNumber(1), KeySetNumber(2), [KeyValue::String(&text)], &mut buffer)
    };
    let overhead = sized(8_000).unwrap().as_bytes().len() - 8_000;
    assert_eq!(sized(MAX_KEY_BYTES - overhead).unwrap().as_bytes().len(), MAX_KEY_BYTES);
    let error = sized(MAX_KEY_BYTES - overhead + 1).unwrap_err();
    assert_eq!(error.to_string(), "the entity key has 8193 bytes, the limit is 8192; use a shorter identifier");
    assert_eq!(sized(1).unwrap(), key(&[KeyValue::String("x")]), "a refused key leaves nothing behind");
}

#[test]
fn keys_of_two_projects_or_key_sets_are_apart() {
    let of = |project, key_set| {
        let values = [KeyValue::String("a")];
        EntityKey::encode(ProjectNumber(project), KeySetNumber(key_set), values, &mut BytesMut::new()).unwrap()
    };
    assert_ne!(of(1, 2), of(2, 1));
    assert_ne!(of(1, 300), of(129, 2));
}

#[test]
fn bytes_that_are_no_key_are_refused_with_the_part() {
    for (bytes, part) in [
        (&[][..], "the project number"),
        (&[0x80, 0x00], "the project number"),
        (&[0xff, 0xff, 0xff, 0xff, 0x1f], "the project number"),
        (&[1], "the key-set number"),
        (&[1, 1, 8], "a component's length"),
        (&[1, 1, 8, 2, b'a'], "a component"),
        (&[1, 1, 8, 1, 0xff], "a string component"),
        (&[1, 1, 3, 1, 0], "an eight-byte component"),
        (&[1, 1, 1, 1, 2], "a bool component"),
        (&[1, 1, 7, 8, 0xff, 0, 0, 0, 0, 0, 0, 0], "a date component"),
        (&[1, 1, 4, 4, 0, 0, 0, 0], "a component's type"),
        (&[1, 1, 2, 8, 0, 0, 0, 0, 0, 0, 0, 0], "a component's type"),
    ] {
        let stored = EntityKey::from_stored(Bytes::copy_from_slice(bytes));
        assert_eq!(stored.parts().unwrap_err(), KeyError::NotAKey { part }, "{bytes:?}");
    }
}

#[test]
fn a_component_is_shown_as_a_person_would_write_it() {
    for (value, shown) in [
        (KeyValue::Bool(true), "true"),
        (KeyValue::Int64(-7), "-7"),
        (KeyValue::Timestamp(Micros(0)), "1970-01-01T00:00:00Z"),
        (KeyValue::Date(1), "1970-01-02T00:00:00Z"),
        (KeyValue::String("a\"\0"), "\"a\\\"\\0\""),
        (KeyValue::Bytes(&[0, b'a', 0xff]), "b\"\\x00a\\xff\""),
    ] {
        assert_eq!(value.to_owned().to_string(), shown);
    }
}
