//! Tests of the batch's buffers: places, conversions, nulls, reuse.

#![expect(clippy::indexing_slicing, reason = "a test may panic")]

use tidegate_catalog::Micros;

use super::*;

fn layout(tensors: &[(ElementType, usize)]) -> Arc<InputLayout> {
    let tensors = tensors.iter().enumerate().map(|(index, (element, width))| TensorLayout {
        name: format!("t{index}"),
        element: *element,
        width: *width,
        has_columns: true,
    });
    Arc::new(InputLayout { tensors: tensors.collect() })
}

fn slot(tensor: usize, column: usize) -> Slot {
    Slot { tensor, column }
}

fn floats(input: &BatchInput) -> &[f32] {
    match &input.buffers[0] {
        Buffer::Float32(values) => values,
        other => panic!("{other:?}"),
    }
}

fn bytes_of(input: &BatchInput, row: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    input.feed_row(row, |part| bytes.extend_from_slice(part));
    bytes
}

#[test]
fn a_packed_tensor_holds_row_after_row() {
    let mut input = BatchInput::new(&layout(&[(ElementType::Float32, 3)]), 2);
    for (row, column, value) in [(0, 0, 1.0), (0, 2, 3.0), (1, 1, 5.0)] {
        input.put_f32(row, slot(0, column), value).unwrap();
    }
    assert_eq!(floats(&input), [1.0, 0.0, 3.0, 0.0, 5.0, 0.0]);
}

#[test]
fn a_cell_that_is_not_there_is_refused() {
    let mut input = BatchInput::new(&layout(&[(ElementType::Float32, 3)]), 2);
    for (row, at) in [(2, slot(0, 0)), (0, slot(0, 3)), (0, slot(1, 0)), (usize::MAX, slot(0, 0))] {
        assert_eq!(input.put_f32(row, at, 1.0), Err(CellError::Outside));
        assert_eq!(input.put(row, at, &Value::Null), Err(CellError::Outside));
    }
}

#[test]
fn a_null_is_the_quiet_nan_in_floats_and_the_empty_string_in_strings() {
    let mut input =
        BatchInput::new(&layout(&[(ElementType::Float32, 1), (ElementType::Float64, 1), (ElementType::String, 1)]), 1);
    for tensor in 0..3 {
        input.put(0, slot(tensor, 0), &Value::Null).unwrap();
    }
    let expected =
        [&0x7fc0_0000_u32.to_le_bytes()[..], &0x7ff8_0000_0000_0000_u64.to_le_bytes(), &0_u64.to_le_bytes()].concat();
    assert_eq!(bytes_of(&input, 0), expected);
}

#[test]
fn a_null_for_a_whole_number_or_a_bool_is_refused_naming_the_input() {
    for element in [ElementType::Int32, ElementType::Int64, ElementType::Bool] {
        let mut input = BatchInput::new(&layout(&[(element, 1)]), 1);
        let refused = input.put(0, slot(0, 0), &Value::Null).unwrap_err();
        assert_eq!(refused, CellError::Null { input: "t0".to_owned(), element });
    }
}

#[test]
fn a_string_with_nul_is_refused_and_other_text_is_kept_whole() {
    let mut input = BatchInput::new(&layout(&[(ElementType::String, 1)]), 1);
    let refused = input.put(0, slot(0, 0), &Value::String("a\0b")).unwrap_err();
    assert_eq!(refused, CellError::NulCharacter { input: "t0".to_owned() });
    input.put(0, slot(0, 0), &Value::String("späte 🛬")).unwrap();
    assert_eq!(input.buffers, [Buffer::String(vec!["späte 🛬".to_owned()])]);
}

#[test]
fn numbers_are_converted_as_announced() {
    let whole = (1_i64 << 24) + 1;
    let cases = [
        (Value::Int64(whole), 16_777_216.0_f32),
        (Value::Float64(0.1), 0.1_f32),
        (Value::Bool(true), 1.0),
        (Value::Date(-1), -1.0),
        (Value::Timestamp(Micros(2_000)), 2_000.0),
        (Value::Float32(-0.0), -0.0),
    ];
    for (value, expected) in cases {
        let mut input = BatchInput::new(&layout(&[(ElementType::Float32, 1)]), 1);
        input.put(0, slot(0, 0), &value).unwrap();
        assert_eq!(floats(&input)[0].to_bits(), expected.to_bits(), "{value:?}");
    }
}

#[test]
fn a_reset_batch_is_like_a_new_one_and_keeps_its_memory() {
    let shape = layout(&[(ElementType::Float32, 2), (ElementType::String, 1)]);
    let mut input = BatchInput::new(&shape, 8);
    input.put_f32(7, slot(0, 1), 4.0).unwrap();
    input.put(7, slot(1, 0), &Value::String("text")).unwrap();
    let memory = floats(&input).as_ptr();
    input.reset(3);
    assert_eq!(input, BatchInput::new(&shape, 3));
    assert_eq!(floats(&input).as_ptr(), memory, "the memory was thrown away");
}

#[test]
fn a_truncated_batch_keeps_its_first_rows() {
    let mut input = BatchInput::new(&layout(&[(ElementType::Float32, 2)]), 3);
    input.put_f32(0, slot(0, 0), 1.0).unwrap();
    input.put_f32(2, slot(0, 0), 3.0).unwrap();
    input.truncate(1);
    assert_eq!((input.rows(), floats(&input)), (1, &[1.0, 0.0][..]));
    assert_eq!(input.put_f32(1, slot(0, 0), 1.0), Err(CellError::Outside));
}

#[test]
fn padding_repeats_the_last_row() {
    let mut input = BatchInput::new(&layout(&[(ElementType::Float32, 2)]), 2);
    input.put_f32(1, slot(0, 0), 7.0).unwrap();
    input.put_f32(1, slot(0, 1), 8.0).unwrap();
    input.pad_to(4);
    assert_eq!(floats(&input), [0.0, 0.0, 7.0, 8.0, 7.0, 8.0, 7.0, 8.0]);
    assert_eq!(input.rows(), 4);
}

#[test]
fn equal_rows_give_equal_bytes_and_strings_do_not_run_together() {
    let mut input = BatchInput::new(&layout(&[(ElementType::String, 2)]), 2);
    for (row, column, text) in [(0, 0, "ab"), (0, 1, "c"), (1, 0, "a"), (1, 1, "bc")] {
        input.put(row, slot(0, column), &Value::String(text)).unwrap();
    }
    assert_ne!(bytes_of(&input, 0), bytes_of(&input, 1));
    input.put(1, slot(0, 0), &Value::String("ab")).unwrap();
    input.put(1, slot(0, 1), &Value::String("c")).unwrap();
    assert_eq!(bytes_of(&input, 0), bytes_of(&input, 1));
    assert_eq!(bytes_of(&input, 2), Vec::<u8>::new(), "there is no such row");
}
