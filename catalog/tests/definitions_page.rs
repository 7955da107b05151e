//! `docs/definitions.md` says what is true: its examples load, and its tables hold every field of every kind.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail where they stand")]

use tidegate_catalog::yaml::{self, Loaded, SourceText};

const PAGE: &str = include_str!("../../docs/definitions.md");

/// The page's YAML blocks, each as a file that begins at the block's own line.
fn examples() -> Vec<SourceText> {
    let mut files: Vec<SourceText> = Vec::new();
    let mut inside = false;
    for (index, line) in PAGE.lines().enumerate() {
        match (inside, line) {
            (false, "```yaml") => {
                files.push(SourceText {
                    path: format!("docs/definitions.md, block at {}", index + 1),
                    text: String::new(),
                });
                inside = true;
            }
            (true, "```") => inside = false,
            (true, line) => files.last_mut().unwrap().text.extend([line, "\n"]),
            (false, _) => {}
        }
    }
    files
}

fn loaded() -> Loaded {
    yaml::load("page", &examples()).unwrap_or_else(|problems| {
        panic!("{}", problems.iter().map(|problem| format!("{problem}\n")).collect::<String>());
    })
}

#[test]
fn the_examples_of_the_page_load_together() {
    let definitions = loaded().definitions;
    let counts = [
        definitions.entities.len(),
        definitions.sources.len(),
        definitions.views.len(),
        definitions.services.len(),
        definitions.endpoints.len(),
    ];
    assert_eq!(counts, [2, 2, 2, 1, 2]);
    let service = &definitions.services["arrival_delay"];
    let columns = service.features.iter().map(|feature| feature.column()).collect::<Vec<_>>();
    assert_eq!(
        columns,
        ["route_delay_7d__mean_arr_delay", "route_delay_7d__flights", "weather__temp", "dest_weather__temp"]
    );
    let model = &definitions.endpoints["arrival_delay_strict"].variants[0].model;
    assert_eq!((model.name.as_str(), model.version.as_str(), model.max_batch_size), ("arrival_delay", "4", 128));
}

#[test]
fn case_17_a_feature_may_be_the_time_itself() {
    let view = &loaded().definitions.views["weather"];
    assert!(view.features.iter().any(|feature| feature.name == view.timestamp_field));
}

#[test]
fn every_kind_has_a_section_whose_table_has_every_field() {
    let schema = yaml::schema();
    for kind in schema["oneOf"].as_array().unwrap() {
        let properties = kind["properties"].as_object().unwrap();
        let name = properties["kind"]["const"].as_str().unwrap();
        let (_, section) = PAGE.split_once(&format!("\n## {name}\n")).unwrap_or_else(|| panic!("no section on {name}"));
        let section = section.split("\n## ").next().unwrap();
        for field in
            properties.keys().filter(|field| !["kind", "description", "owner", "tags"].contains(&field.as_str()))
        {
            assert!(section.contains(&format!("\n| `{field}` |")), "the table of {name} lacks {field}");
        }
    }
}
