//! Kubernetes objects that were ours and are not wished any more.

use kubespray_resource::{
    COMPONENT_ANNOTATION, FIELD_MANAGER, Failure, MANAGED_BY_LABEL, ObjectKind, ObjectRef, Prune, PruneState,
};
use serde_json::Value;

use super::object::{delete, is_ours, wait_until_gone};
use crate::kubernetes::{ApiError, Client};
use crate::{Host, View};

/// Our objects of the component.
pub(crate) fn observe(view: &View<'_>, wish: &Prune) -> Result<PruneState, Failure> {
    let found = view.clients.get(view.host, &wish.kubeconfig).and_then(|client| list(&client, wish));
    match found {
        Ok(objects) => Ok(PruneState::Objects(objects.into_iter().map(|(object, _)| object).collect())),
        Err(ApiError::NoCluster(_)) => Ok(PruneState::Objects(Vec::new())),
        Err(error) => error.unknown().map(PruneState::Unknown).ok_or_else(|| error.into()),
    }
}

/// Deletes those that are not wished, all at once, and waits until they are gone.
pub(crate) fn apply(host: &dyn Host, wish: &Prune) -> Result<(), Failure> {
    let client = Client::open(host, &wish.kubeconfig)?;
    let mut going = Vec::new();
    for (object, live) in list(&client, wish)? {
        if !wish.keeps(&object) {
            let path = client.path(&object)?;
            delete(&client, &object, &path, &live)?;
            going.push((object, path, live));
        }
    }
    let deadline = host.now_ms().saturating_add(wish.timeout_s.saturating_mul(1000));
    for (object, path, live) in &going {
        wait_until_gone(&client, object, path, live, deadline)?;
    }
    Ok(())
}

/// Objects with our label, the component's annotation and no owner among other objects, which would go with it.
fn list(client: &Client<'_>, wish: &Prune) -> Result<Vec<(ObjectRef, Value)>, ApiError> {
    let mut out = Vec::new();
    for kind in &wish.kinds {
        let path = match client.collection(&kind.api_version, &kind.kind) {
            Err(ApiError::NoKind { .. }) => continue,
            other => other?,
        };
        let selector = format!("{MANAGED_BY_LABEL}={FIELD_MANAGER}");
        let asked = format!("list every {}", kind.kind);
        for live in client.list(&asked, &path, &[("labelSelector", &selector)])? {
            let is_owned = live.pointer("/metadata/ownerReferences").and_then(Value::as_array);
            // The label is checked again: what a server does with a selector must not decide what is deleted.
            if is_ours(&live)
                && component(&live) == Some(wish.component.as_str())
                && is_owned.is_none_or(Vec::is_empty)
                && let Some(object) = reference(kind, &live)
            {
                out.push((object, live));
            }
        }
    }
    Ok(out)
}

fn component(live: &Value) -> Option<&str> {
    live.pointer("/metadata/annotations")?.get(COMPONENT_ANNOTATION)?.as_str()
}

/// Elements of lists do not say their kind.
fn reference(kind: &ObjectKind, live: &Value) -> Option<ObjectRef> {
    let text = |pointer: &str| live.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    Some(ObjectRef {
        api_version: kind.api_version.clone(),
        kind: kind.kind.clone(),
        namespace: text("/metadata/namespace"),
        name: text("/metadata/name")?,
    })
}
