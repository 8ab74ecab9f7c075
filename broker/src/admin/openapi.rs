//! `GET openapi.json`: what the API is, for programs. The document stands beside this file; tests hold
//! it against the routes, and its schemas against what a broker answers.

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;

use super::packed::{Packed, packed};

const DOCUMENT: Packed = packed!("openapi.json");

/// The document.
pub(super) async fn document(asked: HeaderMap) -> Response {
    let content_type = HeaderValue::from_static("application/json");
    DOCUMENT.answer(HeaderMap::from_iter([(header::CONTENT_TYPE, content_type)]), &asked)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::admin::access::Audience;
    use crate::admin::routes::ROUTES;

    /// A path and a method, with whom they are for.
    type Operation = (String, String, String);

    #[test]
    fn the_document_has_every_route_and_no_other() {
        let document: Value = serde_json::from_str(&DOCUMENT.text()).unwrap();
        let mut described = BTreeSet::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                let audience = operation["x-audience"].as_str().unwrap().to_owned();
                let keyless = operation["security"].as_array().unwrap();
                let is_open =
                    keyless.is_empty() || keyless.iter().any(|way| way == &serde_json::json!({}));
                assert_eq!(is_open, ["anybody", "local"].contains(&&*audience), "{path} {method}");
                described.insert((path.clone(), method.clone(), audience));
            }
        }
        let known: BTreeSet<Operation> = ROUTES
            .iter()
            .map(|route| {
                let audience = match route.audience {
                    Audience::Anybody => "anybody",
                    Audience::Local => "local",
                    Audience::Viewers => "viewers",
                    Audience::Operators => "operators",
                };
                (route.path.replace('*', ""), route.method.to_owned(), audience.to_owned())
            })
            .collect();
        let difference: Vec<_> = described.symmetric_difference(&known).collect();
        assert!(difference.is_empty(), "{difference:#?}");
    }

    #[test]
    fn every_reference_leads_to_a_schema() {
        let document: Value = serde_json::from_str(&DOCUMENT.text()).unwrap();
        let schemas = document["components"]["schemas"].as_object().unwrap();
        let text = DOCUMENT.text();
        let references = text.split("\"#/components/schemas/").skip(1);
        let mut used = BTreeSet::new();
        for reference in references {
            let name = reference.split('"').next().unwrap();
            assert!(schemas.contains_key(name), "{name}");
            used.insert(name);
        }
        assert_eq!(used.len(), schemas.len(), "every schema is used");
    }
}
