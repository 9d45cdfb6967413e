//! Reads environment variables. The variables themselves are not listed here: each is a
//! [`Variable`], declared beside the code that uses it.

use std::fmt;

/// An environment variable.
#[derive(Debug)]
pub struct Variable {
    /// Its names. The first one that is set is used.
    pub names: &'static [&'static str],
    /// What it holds, in one line, for messages and documents.
    pub holds: &'static str,
    /// What happens if it is not set.
    pub unset: Unset,
}

/// What happens if a variable is not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unset {
    /// The function does not start.
    Required,
    /// This value is used.
    Default(&'static str),
    /// The function works without it, with this effect.
    Optional(&'static str),
}

/// The environment of a function, and the mistakes found in it so far.
pub struct Variables<'a> {
    look_up: &'a dyn Fn(&str) -> Option<String>,
    mistakes: Vec<String>,
}

/// All mistakes in the environment, one line each. The operator fixes them. No value is quoted,
/// because most are secrets.
#[derive(Debug, thiserror::Error)]
pub struct ConfigError {
    /// Each is a variable's name, and what is wrong with it.
    pub mistakes: Vec<String>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("cannot start; fix these variables:")?;
        for mistake in &self.mistakes {
            write!(formatter, "\n  {mistake}")?;
        }
        Ok(())
    }
}

impl Variables<'_> {
    /// Builds a value from variables. `look_up` returns the value of a variable by its name. A
    /// mistake does not stop the build, so that a person can fix all mistakes at once.
    pub fn read<T>(
        look_up: &dyn Fn(&str) -> Option<String>,
        build: impl FnOnce(&mut Variables) -> Option<T>,
    ) -> Result<T, ConfigError> {
        let mut variables = Variables {
            look_up,
            mistakes: Vec::new(),
        };
        let result = build(&mut variables);
        let mistakes = variables.mistakes;
        result
            .filter(|_| mistakes.is_empty())
            .ok_or(ConfigError { mistakes })
    }

    /// Reads and parses a variable. `None` if it is optional and not set, or if it is missing or
    /// malformed, which is recorded as a mistake.
    pub fn get<T, E: fmt::Display>(
        &mut self,
        variable: &Variable,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let set = variable.names.iter().find_map(|name| {
            let value = (self.look_up)(name)?.trim().to_owned();
            (!value.is_empty()).then_some((*name, value))
        });
        let (name, value) = match (set, variable.unset) {
            (Some(set), _) => set,
            (None, Unset::Default(value)) => (variable.names[0], value.to_owned()),
            (None, Unset::Optional(_)) => return None,
            (None, Unset::Required) => {
                let (names, holds) = (variable.names.join(" or "), variable.holds);
                self.mistakes.push(format!("{names} is missing: {holds}"));
                return None;
            }
        };
        parse(&value)
            .map_err(|mistake| self.mistakes.push(format!("{name} {mistake}")))
            .ok()
    }
}

/// The items of a value that holds several, separated by commas or white space.
pub fn list(value: &str) -> impl Iterator<Item = &str> {
    value
        .split(|letter: char| letter == ',' || letter.is_whitespace())
        .filter(|item| !item.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NUMBER: Variable = Variable {
        names: &["NUMBER", "OLD_NUMBER"],
        holds: "a number",
        unset: Unset::Required,
    };
    const WITH_DEFAULT: Variable = Variable {
        unset: Unset::Default("7"),
        ..NUMBER
    };
    const OPTIONAL: Variable = Variable {
        unset: Unset::Optional("no number"),
        ..NUMBER
    };

    fn read(variable: &Variable, set: &[(&str, &str)]) -> Result<Option<u8>, String> {
        let look_up = |name: &str| {
            let (_, value) = set.iter().find(|(set, _)| *set == name)?;
            Some((*value).to_owned())
        };
        let parse = |text: &str| text.parse().map_err(|_| "must be a number");
        Variables::read(&look_up, |variables| Some(variables.get(variable, parse)))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_first_name_that_is_set_is_used() {
        for (set, number) in [
            (&[("NUMBER", "1"), ("OLD_NUMBER", "2")][..], 1),
            (&[("NUMBER", "  "), ("OLD_NUMBER", " 2\n")], 2),
        ] {
            assert_eq!(read(&NUMBER, set), Ok(Some(number)));
        }
    }

    #[test]
    fn a_variable_that_is_not_set_is_missing_or_gets_its_default_or_is_optional() {
        assert_eq!(
            read(&NUMBER, &[]).unwrap_err(),
            "cannot start; fix these variables:\n  NUMBER or OLD_NUMBER is missing: a number"
        );
        assert_eq!(read(&WITH_DEFAULT, &[]), Ok(Some(7)));
        assert_eq!(read(&OPTIONAL, &[]), Ok(None));
    }

    #[test]
    fn a_mistake_has_the_name_that_was_set_and_not_the_value() {
        for variable in [NUMBER, WITH_DEFAULT, OPTIONAL] {
            assert_eq!(
                read(&variable, &[("OLD_NUMBER", "hunter2")]).unwrap_err(),
                "cannot start; fix these variables:\n  OLD_NUMBER must be a number"
            );
        }
    }
}
