//! Kubernetes objects.

use std::time::Duration;

use kubespray_resource::{
    ErrorClass, FIELD_MANAGER, Failure, MANAGED_BY_LABEL, Object, ObjectAbsent, ObjectAbsentState, ObjectRef,
    ObjectSeen, ObjectState, Secrets, outline,
};
use serde_json::Value;

use crate::failure::{impossible, missing_secret};
use crate::kubernetes::{ApiError, Client, Delete, diff};
use crate::{Host, HostError, View};

/// How long the definition of a kind may take until it is served.
const ESTABLISHED_MS: u64 = 30_000;

/// How often to look whether an object is gone or served.
const LOOK: Duration = Duration::from_millis(500);

/// What the API server has, and what it says that it would have after applying.
pub(crate) fn observe(view: &View<'_>, wish: &Object) -> Result<ObjectState, Failure> {
    let reference = wish.reference().map_err(impossible)?;
    match look(view, wish, &reference) {
        Ok(state) => Ok(state),
        Err(error @ ApiError::NoKind { .. }) => Ok(ObjectState::Unknown(Failure::from(error).message)),
        Err(error) => match error.unknown() {
            Some(why) => Ok(ObjectState::Unknown(why)),
            None => Err(error.into()),
        },
    }
}

fn look(view: &View<'_>, wish: &Object, reference: &ObjectRef) -> Result<ObjectState, ApiError> {
    let client = view.clients.get(view.host, &wish.kubeconfig)?;
    let path = client.path(reference)?;
    let Some(live) = client.get(&format!("read {reference}"), &path)? else { return Ok(ObjectState::Absent) };
    let deleting = finalizers_if_deleting(&live);
    let asked = format!("try to apply {reference}");
    let manifest = wish.filled_from(&live);
    // With force, so that all differences are seen; who is in the way is asked only where something differs.
    let next = match client.apply(&asked, &path, &manifest, true, true) {
        Err(ApiError::Refused(status)) if may_be_replaced(wish, reference) && !status.fixed().is_empty() => {
            let seen = ObjectSeen { fixed: status.fixed(), deleting, ..ObjectSeen::default() };
            return Ok(ObjectState::Present(Box::new(seen)));
        }
        other => other?,
    };
    let secrets = wish.secret_digests(&live);
    let (mut before, mut after) = (diff::cleaned(&live), diff::cleaned(&next));
    let changes = diff::changes(&before, &after, &|path| wish.hides(path));
    let ownership = diff::ownership_differs(&live, &next);
    let mut conflicts = Vec::new();
    if !changes.is_empty() && !wish.force {
        match client.apply(&asked, &path, &manifest, false, true) {
            Err(ApiError::Refused(status)) if !status.conflicts().is_empty() => {
                conflicts = status.conflicts();
            }
            Err(error) => return Err(error),
            Ok(_) => {}
        }
    }
    let mut seen = ObjectSeen { changes, ownership, conflicts, secrets, deleting, ..ObjectSeen::default() };
    if !seen.changes.is_empty() {
        wish.hide(&mut before);
        wish.hide(&mut after);
        seen.before = outline(&before);
        seen.after = outline(&after);
    }
    Ok(ObjectState::Present(Box::new(seen)))
}

/// Kinds whose objects hold nothing that is lost with them.
const REPLACEABLE: &[&str] =
    &["ClusterRoleBinding", "DaemonSet", "Deployment", "PriorityClass", "RoleBinding", "Service"];

/// How long an object that is replaced may take to go.
const REPLACED_MS: u64 = 60_000;

fn may_be_replaced(wish: &Object, reference: &ObjectRef) -> bool {
    wish.force && REPLACEABLE.contains(&reference.kind.as_str())
}

/// Applies the manifest.
pub(crate) fn apply(
    host: &dyn Host,
    wish: &Object,
    state: &ObjectState,
    secrets: &Secrets,
) -> Result<(), Failure> {
    let reference = wish.reference().map_err(impossible)?;
    if let ObjectState::Present(seen) = state
        && let Some(finalizers) = &seen.deleting
    {
        return Err(still_there(ErrorClass::Transient, &reference, finalizers));
    }
    let manifest = wish.filled(secrets).map_err(missing_secret)?;
    let client = Client::open(host, &wish.kubeconfig)?;
    let path = client.path(&reference)?;
    if let ObjectState::Present(seen) = state
        && !seen.fixed.is_empty()
        && may_be_replaced(wish, &reference)
        && let Some(live) = client.get(&format!("read {reference}"), &path)?
    {
        delete(&client, &reference, &path, &live)?;
        wait_until_gone(&client, &reference, &path, &live, host.now_ms().saturating_add(REPLACED_MS))?;
    }
    client.apply(&format!("apply {reference}"), &path, &manifest, wish.force, false)?;
    if reference.kind == "CustomResourceDefinition" {
        wait_until_established(&client, &reference, &path)?;
    }
    Ok(())
}

/// Objects of a new kind can be made only when its definition is served, a moment after it was made.
fn wait_until_established(client: &Client<'_>, object: &ObjectRef, path: &str) -> Result<(), Failure> {
    let host = client.host;
    let deadline = host.now_ms().saturating_add(ESTABLISHED_MS);
    loop {
        let live = client.get(&format!("read {object}"), path)?.unwrap_or_default();
        let conditions =
            live.pointer("/status/conditions").and_then(Value::as_array).cloned().unwrap_or_default();
        let is = |condition: &Value, key: &str, text: &str| {
            condition.get(key).and_then(Value::as_str) == Some(text)
        };
        if conditions.iter().any(|one| is(one, "type", "Established") && is(one, "status", "True")) {
            return Ok(());
        }
        if host.now_ms() >= deadline {
            let mut failure = Failure::of_host(format!("{object} is there, but its kind is not served"));
            let messages = conditions.iter().filter_map(|one| one.get("message").and_then(Value::as_str));
            failure.evidence = messages.map(str::to_owned).collect();
            return Err(failure);
        }
        host.sleep(LOOK)?;
    }
}

/// Whether the object is there.
pub(crate) fn observe_absent(view: &View<'_>, wish: &ObjectAbsent) -> Result<ObjectAbsentState, Failure> {
    let found = view.clients.get(view.host, &wish.kubeconfig).and_then(|client| {
        let path = client.path(&wish.object)?;
        client.get(&format!("read {}", wish.object), &path)
    });
    match found {
        Ok(Some(live)) => Ok(ObjectAbsentState::Present { ours: is_ours(&live) }),
        Ok(None) | Err(ApiError::NoCluster(_) | ApiError::NoKind { .. }) => Ok(ObjectAbsentState::Absent),
        Err(error) => error.unknown().map(ObjectAbsentState::Unknown).ok_or_else(|| error.into()),
    }
}

/// Deletes the object and waits until it is gone.
pub(crate) fn apply_absent(host: &dyn Host, wish: &ObjectAbsent) -> Result<(), Failure> {
    let client = Client::open(host, &wish.kubeconfig)?;
    let path = client.path(&wish.object)?;
    let Some(live) = client.get(&format!("read {}", wish.object), &path)? else { return Ok(()) };
    if wish.only_ours && !is_ours(&live) {
        return Ok(());
    }
    delete(&client, &wish.object, &path, &live)?;
    let deadline = host.now_ms().saturating_add(wish.timeout_s.saturating_mul(1000));
    wait_until_gone(&client, &wish.object, &path, &live, deadline)
}

/// Deletes this very object.
pub(crate) fn delete(
    client: &Client<'_>,
    object: &ObjectRef,
    path: &str,
    live: &Value,
) -> Result<(), ApiError> {
    let how = Delete { uid: uid(live), grace_s: None };
    client.delete(&format!("delete {object}"), path, &how).map(drop)
}

/// Waits until this very object is gone; another of its name may be there by then.
pub(crate) fn wait_until_gone(
    client: &Client<'_>,
    object: &ObjectRef,
    path: &str,
    live: &Value,
    deadline_ms: u64,
) -> Result<(), Failure> {
    loop {
        let now = match client.get(&format!("read {object}"), path) {
            Err(error) if error.may_pass() && client.host.now_ms() < deadline_ms => {
                client.host.sleep(LOOK)?;
                continue;
            }
            other => match other? {
                Some(now) if uid(&now) == uid(live) => now,
                _ => return Ok(()),
            },
        };
        if client.host.now_ms() >= deadline_ms {
            let finalizers = finalizers_if_deleting(&now).unwrap_or_default();
            return Err(still_there(ErrorClass::Host, object, &finalizers));
        }
        if client.host.is_cancelled() {
            return Err(HostError::Cancelled.into());
        }
        client.host.sleep(LOOK)?;
    }
}

/// Whether an object has our label.
pub(crate) fn is_ours(live: &Value) -> bool {
    let labels = live.pointer("/metadata/labels");
    labels.and_then(|labels| labels.get(MANAGED_BY_LABEL)).and_then(Value::as_str) == Some(FIELD_MANAGER)
}

/// The id of an object: another of the same name has another.
pub(crate) fn uid(live: &Value) -> Option<String> {
    live.pointer("/metadata/uid").and_then(Value::as_str).map(str::to_owned)
}

fn still_there(class: ErrorClass, object: &ObjectRef, finalizers: &[String]) -> Failure {
    let failure = Failure::new(class, format!("{object} is being deleted, but does not go"));
    if finalizers.is_empty() {
        return failure.hint("what depends on it may have to go first");
    }
    let names = finalizers.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    failure.evidence(format!("finalizers: {names}")).hint("the controllers of these finalizers must run")
}

/// The finalizers of an object that is being deleted.
fn finalizers_if_deleting(live: &Value) -> Option<Vec<String>> {
    live.pointer("/metadata/deletionTimestamp")?;
    let names = |pointer: &str| {
        let list = live.pointer(pointer).and_then(Value::as_array).cloned().unwrap_or_default();
        list.into_iter().filter_map(|name| name.as_str().map(str::to_owned)).collect::<Vec<_>>()
    };
    // Namespaces have theirs in another place.
    Some([names("/metadata/finalizers"), names("/spec/finalizers")].concat())
}
