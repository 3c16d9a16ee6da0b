//! Messages of protocol buffers.

/// A message that is being written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Message(pub(super) Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(u8::try_from(value & 0x7f).unwrap_or_default() | 0x80);
            value >>= 7;
        }
        self.0.push(u8::try_from(value).unwrap_or_default());
    }

    /// A number; 0 is the same as nothing.
    pub(crate) fn number(mut self, field: u64, value: i64) -> Self {
        if value != 0 {
            self.varint(field << 3);
            self.varint(value.cast_unsigned());
        }
        self
    }

    pub(crate) fn boolean(self, field: u64, value: bool) -> Self {
        self.number(field, i64::from(value))
    }

    fn bytes(&mut self, field: u64, value: &[u8]) {
        self.varint((field << 3) | 2);
        self.varint(value.len() as u64);
        self.0.extend(value);
    }

    /// A text; an empty one is the same as nothing.
    pub(crate) fn text(mut self, field: u64, value: &str) -> Self {
        if !value.is_empty() {
            self.bytes(field, value.as_bytes());
        }
        self
    }

    pub(crate) fn texts<T: AsRef<str>>(mut self, field: u64, values: &[T]) -> Self {
        for value in values {
            self.bytes(field, value.as_ref().as_bytes());
        }
        self
    }

    pub(crate) fn message(mut self, field: u64, value: &Message) -> Self {
        self.bytes(field, &value.0);
        self
    }

    /// A map of texts.
    pub(crate) fn map<'a>(
        self,
        field: u64,
        entries: impl IntoIterator<Item = (&'a String, &'a String)>,
    ) -> Self {
        entries.into_iter().fold(self, |out, (key, value)| {
            out.message(field, &Message::default().text(1, key).text(2, value))
        })
    }
}

/// The fields of a message that was read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields<'a>(Vec<(u64, Field<'a>)>);

#[derive(Clone, Copy, Debug)]
enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

fn varint(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let mut out = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(*at)?;
        *at += 1;
        out |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(out);
        }
    }
    None
}

impl<'a> Fields<'a> {
    pub(crate) fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut out = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            let tag = varint(bytes, &mut at)?;
            let field = match tag & 7 {
                0 => Field::Number(varint(bytes, &mut at)?),
                1 => {
                    at += 8;
                    Field::Number(0)
                }
                5 => {
                    at += 4;
                    Field::Number(0)
                }
                2 => {
                    let length = usize::try_from(varint(bytes, &mut at)?).ok()?;
                    let end = at.checked_add(length)?;
                    let found = bytes.get(at..end)?;
                    at = end;
                    Field::Bytes(found)
                }
                _ => return None,
            };
            out.push((tag >> 3, field));
        }
        Some(Self(out))
    }

    fn all(&self, field: u64) -> impl Iterator<Item = &'a [u8]> + '_ {
        self.0.iter().filter_map(move |(found, value)| match value {
            Field::Bytes(bytes) if *found == field => Some(*bytes),
            _ => None,
        })
    }

    pub(crate) fn number(&self, field: u64) -> i64 {
        let found = self.0.iter().rev().find(|(found, _)| *found == field);
        match found {
            Some((_, Field::Number(value))) => value.cast_signed(),
            _ => 0,
        }
    }

    pub(crate) fn text(&self, field: u64) -> String {
        self.all(field).last().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).unwrap_or_default()
    }

    pub(crate) fn texts(&self, field: u64) -> Vec<String> {
        self.all(field).map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect()
    }

    pub(crate) fn messages(&self, field: u64) -> Vec<Fields<'a>> {
        self.all(field).filter_map(Fields::read).collect()
    }

    pub(crate) fn message(&self, field: u64) -> Fields<'a> {
        self.messages(field).pop().unwrap_or_default()
    }

    pub(crate) fn map(&self, field: u64) -> std::collections::BTreeMap<String, String> {
        self.messages(field).iter().map(|entry| (entry.text(1), entry.text(2))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_as_they_were_written() {
        let labels = [("a".to_owned(), "b".to_owned())];
        let inner = Message::default().text(1, "name").number(4, -1);
        let message = Message::default()
            .message(1, &inner)
            .texts(2, &["x", ""])
            .map(3, labels.iter().map(|(key, value)| (key, value)))
            .boolean(300, true);
        let read = Fields::read(&message.0).unwrap();
        assert_eq!((read.message(1).text(1), read.message(1).number(4)), ("name".to_owned(), -1));
        assert_eq!(read.texts(2), ["x", ""]);
        assert_eq!(read.map(3), labels.into_iter().collect());
        assert_eq!((read.number(300), read.number(7)), (1, 0));
        for end in 0..message.0.len() {
            let _ = Fields::read(&message.0[..end]);
        }
    }
}
