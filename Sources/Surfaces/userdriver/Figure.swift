// Numbers as people read them.

/// Numbers in words.
enum Figure {
    /// At most `places` decimals, without trailing zeroes: `29.97`, `30`. Also a valid JSON number.
    static func decimal(_ value: Double, places: Int) -> String {
        guard value.isFinite, abs(value) < 1e15 else { return "0" }
        var scale = 1.0
        for _ in 0..<places { scale *= 10 }
        let scaled = Int64((abs(value) * scale).rounded())
        let whole = scaled / Int64(scale)
        var fraction = String(scaled % Int64(scale))
        fraction = String(repeating: "0", count: max(0, places - fraction.count)) + fraction
        while fraction.hasSuffix("0") { fraction.removeLast() }
        let sign = value < 0 && scaled != 0 ? "-" : ""
        return sign + String(whole) + (fraction.isEmpty || places == 0 ? "" : "." + fraction)
    }

    /// `"512 B"`, `"3.4 MB"`: powers of 1000.
    static func bytes(_ value: Double) -> String {
        var value = value
        for unit in ["B", "kB", "MB", "GB"] {
            if value < 1000 { return decimal(value, places: unit == "B" ? 0 : value < 10 ? 2 : 1) + " " + unit }
            value /= 1000
        }
        return decimal(value, places: 1) + " TB"
    }

    /// `"340 ms"`, `"2.5 s"`, `"3 min 12 s"`, `"2 h 5 min"`.
    static func duration(milliseconds: Double) -> String {
        switch milliseconds {
        case ..<1000: return decimal(milliseconds, places: milliseconds < 10 ? 1 : 0) + " ms"
        case ..<60_000: return decimal(milliseconds / 1000, places: 1) + " s"
        case _ where milliseconds.isNaN: return "–"
        case ..<3_600_000:
            let seconds = Int((milliseconds / 1000).rounded())
            return "\(seconds / 60) min \(seconds % 60) s"
        default:
            let minutes = Int((min(milliseconds, 1e15) / 60_000).rounded())
            return "\(minutes / 60) h \(minutes % 60) min"
        }
    }

    /// `"1 frame"`, `"3 frames"`.
    static func count(_ number: some BinaryInteger, _ noun: String, _ plural: String? = nil) -> String {
        number == 1 ? "1 \(noun)" : "\(number) \(plural ?? noun + "s")"
    }
}
