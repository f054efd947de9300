//! Which resource a path names (PS3.18 §8.2, Table 10.1-1): the routes are few and their pieces are
//! literals or names, so a path is compared piece by piece. A router of regular expressions took a
//! third of the processor time of a small answer.

use std::ops::Range;
use std::sync::LazyLock;

use super::routes::{PREFIX, ROUTES, Route};

/// A piece of a route between two slashes.
enum Piece {
    Literal(&'static str),
    /// Any piece that is not empty, under its name.
    Named(&'static str),
    /// All that follows, if anything does.
    Rest(&'static str),
}

struct Shape {
    route: &'static Route,
    pieces: Vec<Piece>,
    /// The route with the prefix.
    name: String,
}

static SHAPES: LazyLock<Vec<Shape>> = LazyLock::new(|| {
    let shape = |route: &'static Route| Shape {
        route,
        pieces: route.path.split('/').skip(1).map(piece).collect(),
        name: format!("{PREFIX}{}", route.path),
    };
    ROUTES.iter().map(shape).collect()
});

fn piece(text: &'static str) -> Piece {
    match text.strip_prefix('{').and_then(|t| t.strip_suffix('}')) {
        None => Piece::Literal(text),
        Some(name) => match name.strip_suffix(":.+") {
            Some(name) => Piece::Rest(name),
            None => Piece::Named(name),
        },
    }
}

/// The named pieces of a path, each with its place in the text that was looked at.
pub(super) type Named = Vec<(&'static str, Range<usize>)>;

/// The route that a path below [`PREFIX`] names, its name for the metrics, and the named pieces.
pub(super) fn named(path: &str) -> Option<(&'static Route, &'static str, Named)> {
    SHAPES.iter().find_map(|shape| {
        let named = shape.named(path)?;
        Some((shape.route, shape.name.as_str(), named))
    })
}

impl Shape {
    fn named(&self, path: &str) -> Option<Named> {
        let mut named = Vec::new();
        let mut at = 0;
        for piece in &self.pieces {
            let rest = path.get(at..)?.strip_prefix('/')?;
            at += 1;
            let text = match piece {
                Piece::Rest(_) => rest,
                Piece::Literal(_) | Piece::Named(_) => rest.split('/').next().unwrap_or(rest),
            };
            match piece {
                Piece::Literal(literal) if *literal != text => return None,
                Piece::Literal(_) => {}
                Piece::Named(_) | Piece::Rest(_) if text.is_empty() => return None,
                Piece::Named(name) | Piece::Rest(name) => named.push((*name, at..at + text.len())),
            }
            at += text.len();
        }
        (at == path.len()).then_some(named)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &str) -> Option<(&'static str, Vec<(&'static str, &str)>)> {
        let (route, _, pieces) = named(path)?;
        let pieces = pieces.into_iter().map(|(name, at)| (name, &path[at]));
        Some((route.path, pieces.collect()))
    }

    #[test]
    fn every_route_is_found_by_its_own_path() {
        for route in ROUTES {
            let path = route.path.replace("{path:.+}", "1/2/3");
            let path = path.replace('{', "x").replace('}', "y");
            let (found, name, _) = named(&path).unwrap();
            assert_eq!(found.path, route.path);
            assert_eq!(name, format!("/dicom-web{}", route.path));
        }
    }

    #[test]
    fn pieces_are_taken_as_they_stand() {
        assert_eq!(
            read("/studies/1.2/series/3/metadata"),
            Some((
                "/studies/{study}/series/{series}/metadata",
                vec![("study", "1.2"), ("series", "3")]
            ))
        );
        let bulk = "/studies/1/series/2/instances/3/bulkdata/00091001/1/7";
        assert_eq!(read(bulk).unwrap().1[3], ("path", "00091001/1/7"));
        for other in [
            "",
            "/",
            "studies",
            "/studies/",
            "/studies//series",
            "/studies/1/",
            "/studies/1/rendered/2",
            "/Studies",
            "/studies/1/series/2/instances/3/bulkdata/",
            "/é",
        ] {
            assert!(read(other).is_none(), "{other}");
        }
    }
}
