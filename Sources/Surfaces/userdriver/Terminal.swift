// The two streams that a person or another program reads: what is printed where, and how.

import CLinux
import Glibc
import Synchronization
import Wire

/// Standard output and standard error.
enum Terminal {
    enum Colour: String {
        case faint = "2", bold = "1", red = "31", green = "32", yellow = "33", cyan = "36"

        static let end = "\u{1B}[0m"
        var start: String { "\u{1B}[\(rawValue)m" }
        fileprivate static let sequences = [faint, bold, red, green, yellow, cyan].map(\.start) + [end]
    }

    static func isTerminal(_ descriptor: Int32) -> Bool { isatty(descriptor) == 1 }

    /// Colours only on a terminal, and never where `NO_COLOR` is set (no-color.org) or the terminal is dumb.
    static func showsColours(_ descriptor: Int32) -> Bool {
        guard isTerminal(descriptor) else { return false }
        if let value = getenv("NO_COLOR"), value.pointee != 0 { return false }
        if let value = getenv("TERM"), String(cString: value) == "dumb" { return false }
        return true
    }

    static func coloured(_ text: String, _ colour: Colour?) -> String {
        guard let colour else { return text }
        return colour.start + text + Colour.end
    }

    /// The columns of the terminal; `nil` if there is none, and lines may be as long as they like. `COLUMNS` outweighs what the terminal
    /// says of itself, and counts only there.
    static func width(_ descriptor: Int32) -> Int? {
        guard isTerminal(descriptor) else { return nil }
        if let value = getenv("COLUMNS"), let columns = Int(String(cString: value)), columns > 0 { return min(columns, 1000) }
        var size = winsize()
        guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
        return Int(size.ws_col)
    }

    /// Whether what is printed may be more than ASCII, as the locale says: the first that is set of `LC_ALL`, `LC_CTYPE` and `LANG`. Where none
    /// is, as in containers and services, UTF-8 is what is used today.
    static let isUTF8: Bool = {
        for name in ["LC_ALL", "LC_CTYPE", "LANG"] {
            guard let value = getenv(name), value.pointee != 0 else { continue }
            let locale = String(cString: value).lowercased()
            return locale.contains("utf-8") || locale.contains("utf8")
        }
        return true
    }()

    /// One line on standard output, at once. Colours are left out unless it is `styled`.
    static func print(_ line: String, styled: Bool = false) throws(OutputError) {
        try write((styled ? line : PlainText.shown(line, utf8: isUTF8)) + "\n", to: STDOUT_FILENO, styled: styled)
    }

    /// A sentence, in as many lines as the terminal needs; those after the first stand further in.
    static func printWrapped(_ text: String) throws(OutputError) {
        let lines = PlainText.wrapped(PlainText.line(text, utf8: isUTF8), width: width(STDOUT_FILENO).map { $0 - 2 })
        for (place, line) in lines.enumerated() { try print(place == 0 ? line : "  " + line, styled: true) }
    }

    static func print(_ table: TextTable) throws(OutputError) {
        let lines = table.lines(colours: showsColours(STDOUT_FILENO), width: width(STDOUT_FILENO), utf8: isUTF8)
        try write(lines.map { $0 + "\n" }.joined(), to: STDOUT_FILENO, styled: true)
    }

    /// One line on standard error. A standard error that can't be written to is nothing to stop for.
    static func note(_ line: String) {
        let line = PlainText.shown(line, utf8: isUTF8)
        progress.withLock { shown in
            clear(&shown)
            do { try write(line + "\n", to: STDERR_FILENO) } catch {}
        }
    }

    /// How many columns of the progress line are shown now.
    private static let progress = Mutex(0)

    private static func clear(_ shown: inout Int) {
        guard shown > 0 else { return }
        do { try emit("\r\u{1B}[K", to: STDERR_FILENO) } catch {}
        shown = 0
    }

    /// Puts `line` in the place of the progress line before it, on a terminal; nothing at all elsewhere.
    static func showProgress(_ line: String) {
        guard isTerminal(STDERR_FILENO) else { return }
        // A line that wraps could not be taken back.
        let line = PlainText.shortened(PlainText.shown(line, utf8: isUTF8), to: (width(STDERR_FILENO) ?? 80) - 1, utf8: isUTF8)
        progress.withLock { shown in
            do { try emit("\r\u{1B}[K" + line, to: STDERR_FILENO) } catch {}
            shown = line.count
        }
    }

    static func endProgress() { progress.withLock { clear(&$0) } }

    /// The way out for all text: whatever a device, a driver or the daemon put into it, nothing steers the terminal but line ends, tabs and, where it is
    /// `styled`, colours.
    static func write(_ text: String, to descriptor: Int32, styled: Bool = false) throws(OutputError) {
        try emit(shown(text, styled: styled), to: descriptor)
    }

    static func shown(_ text: String, styled: Bool) -> String {
        var result = ""
        var rest = text.unicodeScalars[...]
        while let next = rest.firstIndex(where: { !$0.isPrintable }) {
            result.unicodeScalars.append(contentsOf: rest[..<next])
            rest = rest[next...]
            let style = styled ? Colour.sequences.first { rest.starts(with: $0.unicodeScalars) } : nil
            switch rest.first {
            case "\n", "\t": result.unicodeScalars.append(rest.removeFirst())
            case _ where style != nil:
                result += style ?? ""
                rest = rest.dropFirst(style?.unicodeScalars.count ?? 0)
            default: result += String(Character(rest.removeFirst())).printable
            }
        }
        result.unicodeScalars.append(contentsOf: rest)
        return result
    }

    private static func emit(_ text: String, to descriptor: Int32) throws(OutputError) {
        var text = text
        let failed: Int32 = text.withUTF8 { writeAll(UnsafeRawBufferPointer($0), to: descriptor) }
        if failed != 0 { throw OutputError(number: failed) }
    }

    /// All the bytes, or the number of the error that stopped it.
    static func writeAll(_ bytes: UnsafeRawBufferPointer, to descriptor: Int32) -> Int32 {
        var rest = bytes[...]
        while !rest.isEmpty {
            let part = UnsafeRawBufferPointer(rebasing: rest)
            let written = Glibc.write(descriptor, part.baseAddress, part.count)
            if written >= 0 {
                rest = rest.dropFirst(written)
            } else if errno == EAGAIN {
                var wait = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                poll(&wait, 1, -1)
            } else if errno != EINTR {
                return errno
            }
        }
        return 0
    }
}

/// Something could not be written.
struct OutputError: Error, CustomStringConvertible {
    let number: Int32
    var what = "the output"

    /// Whoever read the output has gone: there is nobody left to tell.
    var isBrokenPipe: Bool { number == EPIPE }
    var description: String {
        if number == EISDIR { return "\(what) is a directory: name a file in it." }
        return "Writing \(what) failed: \(String(cString: strerror(number)))."
    }
}
