//! Lines of bounded length: one that is too long is skipped to its end without being held.

use std::io::{self, BufRead};

/// What came of reading a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line {
    /// The line is in the buffer, without its end.
    Read,
    /// It is longer than allowed; it was skipped.
    TooLong,
    /// There are no more lines.
    End,
}

/// Reads one line into the buffer, which is cleared first.
pub(super) fn read_line(
    stream: &mut impl BufRead,
    bytes_max: usize,
    line: &mut Vec<u8>,
) -> io::Result<Line> {
    line.clear();
    let mut length = 0usize;
    loop {
        let chunk = match stream.fill_buf() {
            Ok(chunk) => chunk,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if chunk.is_empty() {
            return Ok(match length {
                0 => Line::End,
                _ if length > bytes_max => Line::TooLong,
                _ => Line::Read,
            });
        }
        let end = memchr::memchr(b'\n', chunk);
        let taken = end.unwrap_or(chunk.len());
        length = length.saturating_add(taken);
        if length <= bytes_max {
            line.extend_from_slice(&chunk[..taken]);
        } else {
            // What is too long is not kept either.
            *line = Vec::new();
        }
        stream.consume(taken + usize::from(end.is_some()));
        if end.is_some() {
            return Ok(if length > bytes_max { Line::TooLong } else { Line::Read });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufReader;

    #[test]
    fn a_long_line_is_skipped_and_the_next_is_read() {
        let text = format!("short\n{}\nafter\n\nlast", "x".repeat(100));
        let mut stream = BufReader::with_capacity(7, text.as_bytes());
        let mut line = Vec::new();
        let mut seen = Vec::new();
        loop {
            let read = read_line(&mut stream, 10, &mut line).expect("memory can be read");
            if read == Line::End {
                break;
            }
            seen.push((read, String::from_utf8(line.clone()).expect("ASCII")));
        }
        let expected = [
            (Line::Read, "short"),
            (Line::TooLong, ""),
            (Line::Read, "after"),
            (Line::Read, ""),
            (Line::Read, "last"),
        ];
        assert_eq!(seen, expected.map(|(read, text)| (read, text.to_owned())));
    }
}
