// Dates of allowed_signers: YYYYMMDD[HHMM[SS]][Z], in local time unless a Z follows.

import Glibc

public enum SignerDate {
    /// Seconds since 1970.
    public static func seconds(_ text: String) throws(TrustError) -> Int64 {
        let isUTC = text.hasSuffix("Z") || text.hasSuffix("UTC")
        let digits = Array((text.hasSuffix("UTC") ? text.dropLast(3) : isUTC ? text.dropLast() : text[...]).utf8)
        guard [8, 12, 14].contains(digits.count), digits.allSatisfy({ (0x30...0x39).contains($0) }) else {
            throw TrustError(.malformed, "\"\(text.prefix(40))\" is not a date: YYYYMMDD[HHMM[SS]][Z] is expected.")
        }
        func number(_ range: Range<Int>) -> Int32 {
            range.upperBound <= digits.count ? digits[range].reduce(0) { $0 * 10 + Int32($1 - 0x30) } : 0
        }
        let (year, month, day) = (number(0..<4), number(4..<6), number(6..<8))
        let (hour, minute, second) = (number(8..<10), number(10..<12), number(12..<14))
        guard year >= 1970, (1...12).contains(month), (1...31).contains(day), hour < 24, minute < 60, second < 60 else {
            throw TrustError(.malformed, "\"\(text.prefix(40))\" is not a date in the calendar.")
        }
        var parts = tm()
        (parts.tm_year, parts.tm_mon, parts.tm_mday) = (year - 1900, month - 1, day)
        (parts.tm_hour, parts.tm_min, parts.tm_sec, parts.tm_isdst) = (hour, minute, second, -1)
        let seconds = isUTC ? timegm(&parts) : mktime(&parts)
        // 30 February has become a day of March.
        guard parts.tm_mday == day, parts.tm_mon == month - 1 else {
            throw TrustError(.malformed, "\"\(text.prefix(40))\" is not a date in the calendar.")
        }
        return Int64(seconds)
    }

    /// `20260131235959Z`, for an option.
    static func option(_ seconds: Int64) -> String { format(seconds, "%Y%m%d%H%M%SZ") }

    /// `2026-01-31 23:59:59 UTC`, for a person.
    public static func text(_ seconds: Int64) -> String { format(seconds, "%Y-%m-%d %H:%M:%S UTC") }

    private static func format(_ seconds: Int64, _ form: String) -> String {
        var time = time_t(seconds)
        var parts = tm()
        gmtime_r(&time, &parts)
        var text = [CChar](repeating: 0, count: 64)
        let count = strftime(&text, text.count, form, &parts)
        return String(decoding: text[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    public static func now() -> Int64 { Int64(time(nil)) }
}
