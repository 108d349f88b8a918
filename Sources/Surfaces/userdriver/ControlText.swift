// Controls as people type and read them.

import ArgumentParser
import UVC
import UserDriverClient

enum ControlText {
    /// `["brightness", "12"]` or `["brightness=12", "hue=-3"]` as names with their values.
    @inline(never)
    static func settings(_ words: [String]) throws -> [(name: String, value: String)] {
        if words.count == 2, !words[0].contains("=") { return [(words[0], words[1])] }
        return try words.map { word in
            guard let equals = word.firstIndex(of: "="), equals > word.startIndex, word.index(after: equals) < word.endIndex else {
                throw ValidationError("'\(word)' is not a setting: write NAME VALUE, or NAME=VALUE as often as you like.")
            }
            return (String(word[..<equals]), String(word[word.index(after: equals)...]))
        }
    }

    /// What these settings want of controls, by the names that were typed. What an automatic control drives is set after that one.
    @inline(never)
    static func changes(_ settings: [(name: String, value: String)], of known: [String: CameraControl]) throws -> [Change] {
        let changes = try settings.compactMap { name, text in try known[name].map { Change(name: $0.name, value: try value(text, of: $0)) }
        }
        return changes.filter { automatic.contains($0.name) } + changes.filter { !automatic.contains($0.name) }
    }

    struct Change: Equatable {
        var name: String
        var value: Int
    }

    /// The controls that drive others.
    private static let automatic = Set(VideoControlDefinition.all.compactMap(\.automatic?.name))

    /// What `text` means for this control, within its range.
    static func value(_ text: String, of control: CameraControl) throws -> Int {
        let word = text.lowercased()
        switch word {
        case "default": return control.default
        case "min", "minimum": return control.minimum
        case "max", "maximum": return control.maximum
        default: break
        }
        if control.type == "boolean" {
            if ["on", "true", "yes"].contains(word) { return 1 }
            if ["off", "false", "no"].contains(word) { return 0 }
        }
        if let item = control.menu?.first(where: { plain($0.text) == plain(word) }) { return item.value }
        let value: Int
        if word.hasSuffix("%"), let share = Double(word.dropLast()), (0...100).contains(share) {
            value = part(share / 100, of: control)
        } else if let number = word.hasPrefix("0x") ? Int(word.dropFirst(2), radix: 16) : Int(word) {
            value = number
        } else {
            throw CommandFailure("\"\(text)\" is not a valid value for \(control.name): \(range(of: control)).", status: ExitStatus.usage)
        }
        guard control.type == "bitmap" || limits(of: control).contains(value) else {
            throw CommandFailure("\(value) is out of range for \(control.name): \(range(of: control)).", status: ExitStatus.usage)
        }
        return value
    }

    /// From the lower to the upper end, whatever the driver takes for them.
    private static func limits(of control: CameraControl) -> ClosedRange<Int> {
        min(control.minimum, control.maximum)...max(control.minimum, control.maximum)
    }

    /// `"Aperture Priority"`, `"aperture_priority"` and `"aperture-priority"` are the same.
    private static func plain(_ text: String) -> String { text.lowercased().filter { !" _-".contains($0) } }

    /// A share of the range, on a step. Minimum, maximum and step may be any numbers.
    private static func part(_ share: Double, of control: CameraControl) -> Int {
        let limits = limits(of: control)
        let (lowest, step) = (Int128(limits.lowerBound), Int128(max(1, control.step)))
        let span = Int128(limits.upperBound) - lowest
        let steps = Int128((Double(span) * share / Double(step)).rounded())
        return Int(lowest + min(steps, span / step) * step)
    }

    /// `"it goes from -64 to 64 in steps of 2"`, `"it is one of 0 (disabled), 1 (50 Hz)"`, `"it is on or off"`.
    static func range(of control: CameraControl) -> String {
        if control.type == "boolean" { return "it is on or off" }
        if let menu = control.menu, !menu.isEmpty {
            return "it is one of " + menu.map { "\($0.value) (\($0.text))" }.joined(separator: ", ")
        }
        let steps = control.step > 1 ? " in steps of \(control.step)" : ""
        return "it ranges from \(control.minimum) to \(control.maximum)\(steps)"
    }

    /// - Parameter awaited: names of controls that are still to come, for which their column has room.
    static func table(_ controls: [CameraControl], awaiting awaited: [String] = []) -> TextTable {
        var table = TextTable("NAME", "VALUE", "DEFAULT", "MIN", "MAX", "STEP", "NOTES", rightAligned: [1, 2, 3, 4, 5], spared: [6, 5])
        for control in controls {
            guard control.problem == nil else {
                table.add(.init(control.name, .bold), "?", "", "", "", "", .init(problem(of: control), .yellow))
                continue
            }
            var notes: [String] = []
            if let menu = control.menu, !menu.isEmpty { notes.append(menu.map { "\($0.value) \($0.text)" }.joined(separator: " | ")) }
            if control.type == "boolean" { notes.append("on or off") }
            if control.automatic { notes.append("automatic now") }
            if !control.writable { notes.append("read-only") }
            table.add(
                .init(control.name, .bold),
                .init(control.readable ? "\(control.value)" : "–", control.value == control.default ? nil : .cyan),
                .init("\(control.default)"), .init("\(control.minimum)"), .init("\(control.maximum)"), .init("\(control.step)"),
                .init(notes.joined(separator: "; "), .faint))
        }
        for name in awaited { table.add(.init(name), "", "", "", "", "", "") }
        return table
    }

    private static func problem(of control: CameraControl) -> String {
        switch control.problem {
        case "silent": "does not answer"
        case "refused": "refuses every request"
        default: control.message ?? "not read"
        }
    }
}
