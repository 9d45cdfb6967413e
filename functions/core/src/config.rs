//! The reader of environment variables. It knows none of them: whoever needs one declares it as a
//! [`Variable`] beside the code that reads it.

use std::fmt;

/// An environment variable.
#[derive(Debug)]
pub struct Variable {
    /// Its names. The first one that is set counts.
    pub names: &'static [&'static str],
    /// What it holds, in one line, for messages and documents.
    pub holds: &'static str,
    /// What happens where it is not set.
    pub unset: Unset,
}

/// What happens where a variable is not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unset {
    /// The function does not start.
    Refused,
    /// This value counts.
    Default(&'static str),
    /// The function does without it, with this effect.
    Optional(&'static str),
}

/// The environment of a function, and what was found wrong with it so far.
pub struct Variables<'a> {
    look_up: &'a dyn Fn(&str) -> Option<String>,
    mistakes: Vec<String>,
}

/// Everything that is wrong with the environment, a line each. Values are not quoted: most of
/// them are secrets.
#[derive(Debug, thiserror::Error)]
pub struct ConfigError {
    /// A variable's name, and what is wrong with it.
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
    /// Builds something from the variables that `look_up` knows. A mistake does not end the build,
    /// so that a person can fix all of them in one go.
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

    /// Reads and parses a variable. `None` where it is missing or malformed, which is noted, or
    /// where it is not set and need not be.
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
            (None, Unset::Refused) => {
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

/// The items of a value that holds several, apart by commas or white space.
pub fn list(value: &str) -> impl Iterator<Item = &str> {
    value
        .split([',', ' ', '\n', '\t'])
        .filter(|item| !item.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NUMBER: Variable = Variable {
        names: &["NUMBER", "OLD_NUMBER"],
        holds: "a number",
        unset: Unset::Refused,
    };
    const BY_DEFAULT: Variable = Variable {
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
    fn the_first_name_that_is_set_counts() {
        for (set, number) in [
            (&[("NUMBER", "1"), ("OLD_NUMBER", "2")][..], 1),
            (&[("NUMBER", "  "), ("OLD_NUMBER", " 2\n")], 2),
        ] {
            assert_eq!(read(&NUMBER, set), Ok(Some(number)));
        }
    }

    #[test]
    fn a_variable_that_is_not_set_is_missing_or_has_a_default_or_is_optional() {
        assert_eq!(
            read(&NUMBER, &[]).unwrap_err(),
            "cannot start; fix these variables:\n  NUMBER or OLD_NUMBER is missing: a number"
        );
        assert_eq!(read(&BY_DEFAULT, &[]), Ok(Some(7)));
        assert_eq!(read(&OPTIONAL, &[]), Ok(None));
    }

    #[test]
    fn a_malformed_value_is_named_as_it_was_set_and_not_quoted() {
        for variable in [NUMBER, BY_DEFAULT, OPTIONAL] {
            assert_eq!(
                read(&variable, &[("OLD_NUMBER", "hunter2")]).unwrap_err(),
                "cannot start; fix these variables:\n  OLD_NUMBER must be a number"
            );
        }
    }
}
