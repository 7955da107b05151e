//! What an apply does to a view's generations: a pure decision, made alike by `plan` (which shows it) and by the registry.

use std::collections::BTreeMap;

use tidegate_catalog::{
    FieldNumber, Generation, GenerationState, KeySetNumber, Micros,
    definitions::{Definitions, FeatureView},
    snapshot::GenerationFeature,
};

use crate::Error;

/// What happens to a view's generations under a value fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The generation being built, else the serving one, has this fingerprint already.
    Keep,
    /// A new one is built, beside the serving one if there is one.
    Build,
    /// A new one is built, and the one being built so far is given up.
    BuildAnew,
    /// The serving one has this fingerprint again; the one being built is given up.
    Return,
}

/// Decides by the fingerprints of the generation that serves and the one being built.
pub(crate) fn step(generations: &[Generation], fingerprint: &str) -> Step {
    let of = |wanted| generations.iter().find(|generation| generation.state == wanted);
    let has = |generation: &Generation| generation.fingerprint == fingerprint;
    match (of(GenerationState::Serving), of(GenerationState::Building)) {
        (_, Some(building)) if has(building) => Step::Keep,
        (Some(serving), None) if has(serving) => Step::Keep,
        (Some(serving), Some(_)) if has(serving) => Step::Return,
        (_, Some(_)) => Step::BuildAnew,
        (_, None) => Step::Build,
    }
}

/// The highest numbers given so far. Giving one is the only way to change them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Numbers {
    pub(crate) project: u32,
    pub(crate) key_set: u32,
    pub(crate) field: u32,
}

impl Numbers {
    pub(crate) fn next_project(&mut self) -> Result<u32, Error> {
        next(&mut self.project, "project")
    }

    fn next_key_set(&mut self) -> Result<KeySetNumber, Error> {
        next(&mut self.key_set, "key-set").map(KeySetNumber)
    }

    fn next_field(&mut self) -> Result<FieldNumber, Error> {
        next(&mut self.field, "field").map(FieldNumber)
    }
}

fn next(number: &mut u32, kind: &'static str) -> Result<u32, Error> {
    *number = number.checked_add(1).ok_or(Error::NumbersExhausted { kind })?;
    Ok(*number)
}

/// Key sets and generations on their way from one snapshot to the next.
#[derive(Debug)]
pub(crate) struct Builds<'b> {
    pub(crate) key_sets: &'b mut BTreeMap<String, KeySetNumber>,
    pub(crate) generations: &'b mut BTreeMap<String, Vec<Generation>>,
    pub(crate) numbers: &'b mut Numbers,
    pub(crate) now: Micros,
}

impl Builds<'_> {
    /// Brings every view's generations in line with `definitions`; those of views that are gone are retired.
    pub(crate) fn follow(&mut self, definitions: &Definitions) -> Result<(), Error> {
        for (view, generations) in self.generations.iter_mut() {
            if !definitions.views.contains_key(view) {
                retire(generations, self.now, |_| true);
            }
        }
        for view in definitions.views.values() {
            let generations = self.generations.entry(view.name.clone()).or_default();
            let fingerprint = view.fingerprint(definitions);
            match step(generations, &fingerprint) {
                Step::Keep => {}
                Step::Return => retire(generations, self.now, |state| state == GenerationState::Building),
                Step::Build | Step::BuildAnew => self.build(view, fingerprint)?,
            }
        }
        Ok(())
    }

    /// Starts a generation of `view`, in place of the one being built, if there is one.
    pub(crate) fn build(&mut self, view: &FeatureView, fingerprint: String) -> Result<(), Error> {
        let key_set = match self.key_sets.get(&view.key_set_name()) {
            Some(number) => *number,
            None => self.numbers.next_key_set()?,
        };
        self.key_sets.insert(view.key_set_name(), key_set);
        let features = view.features.iter();
        let features = features.map(|f| GenerationFeature { name: f.name.clone(), feature_type: f.feature_type });
        let generation = Generation {
            field: self.numbers.next_field()?,
            fingerprint,
            key_set,
            join_keys: view.join_keys.clone(),
            features: features.collect(),
            state: GenerationState::Building,
        };
        let generations = self.generations.entry(view.name.clone()).or_default();
        retire(generations, self.now, |state| state == GenerationState::Building);
        generations.push(generation);
        Ok(())
    }
}

/// Moves readers from the serving generation, if there is one, to the one being built. False when none is.
pub(crate) fn promote(generations: &mut [Generation], now: Micros) -> bool {
    if !generations.iter().any(|generation| generation.state == GenerationState::Building) {
        return false;
    }
    retire(generations, now, |state| state == GenerationState::Serving);
    for generation in generations.iter_mut().filter(|generation| generation.state == GenerationState::Building) {
        generation.state = GenerationState::Serving;
    }
    true
}

fn retire(generations: &mut [Generation], now: Micros, wanted: impl Fn(GenerationState) -> bool) {
    let living = |state| !matches!(state, GenerationState::Retired { .. });
    for generation in generations.iter_mut().filter(|g| living(g.state) && wanted(g.state)) {
        generation.state = GenerationState::Retired { since: now };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generation(fingerprint: &str, state: GenerationState) -> Generation {
        Generation {
            field: FieldNumber(1),
            fingerprint: fingerprint.to_owned(),
            key_set: KeySetNumber(1),
            join_keys: vec![],
            features: vec![],
            state,
        }
    }

    #[test]
    fn a_step_follows_from_the_fingerprints_of_the_serving_and_the_building_generation() {
        let (serving, building) = (GenerationState::Serving, GenerationState::Building);
        let retired = GenerationState::Retired { since: Micros(0) };
        let table: [(&[(&str, GenerationState)], Step); 9] = [
            (&[], Step::Build),
            (&[("a", retired)], Step::Build),
            (&[("a", building)], Step::Keep),
            (&[("b", building)], Step::BuildAnew),
            (&[("a", serving)], Step::Keep),
            (&[("b", serving)], Step::Build),
            (&[("a", serving), ("b", building)], Step::Return),
            (&[("b", serving), ("a", building)], Step::Keep),
            (&[("a", serving), ("a", building)], Step::Keep),
        ];
        for (generations, wanted) in table {
            let given = generations.iter().map(|(fingerprint, state)| generation(fingerprint, *state));
            assert_eq!(step(&given.collect::<Vec<_>>(), "a"), wanted, "{generations:?}");
        }
    }

    #[test]
    fn promoting_retires_the_serving_generation_and_leaves_older_ones_their_time() {
        let old = GenerationState::Retired { since: Micros(1) };
        let mut generations = [
            generation("a", old),
            generation("b", GenerationState::Serving),
            generation("c", GenerationState::Building),
        ];
        assert!(promote(&mut generations, Micros(9)));
        let states = generations.iter().map(|g| g.state).collect::<Vec<_>>();
        assert_eq!(states, [old, GenerationState::Retired { since: Micros(9) }, GenerationState::Serving]);
        assert!(!promote(&mut generations, Micros(10)), "nothing is being built");
    }
}
