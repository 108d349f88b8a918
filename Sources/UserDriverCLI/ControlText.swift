// Controls as people type and read them.

import ArgumentParser
import UserDriverClient

enum ControlText {
    /// `["brightness", "12"]` or `["brightness=12", "hue=-3"]` as names with their values.
    static func settings(_ words: [String]) throws -> [(name: String, value: String)] {
        if words.count == 2, !words[0].contains("=") { return [(words[0], words[1])] }
        return try words.map { word in
            guard let equals = word.firstIndex(of: "="), equals > word.startIndex, word.index(after: equals) < word.endIndex else {
                throw ValidationError("'\(word)' is no setting: write NAME VALUE, or NAME=VALUE as often as you like.")
            }
            return (String(word[..<equals]), String(word[word.index(after: equals)...]))
        }
    }

    /// What `words` want, of the controls that there are.
    static func changes(_ words: [String], of known: [CameraControl]) throws -> [(name: String, value: Int)] {
        try settings(words).map { name, text in
            guard let control = known.first(where: { $0.name == name }) else {
                throw CommandFailure("The camera has no control \"\(name)\". It has: \(known.map(\.name).joined(separator: ", ")).")
            }
            return (name, try value(text, of: control))
        }
    }

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
        if let item = control.menu?.first(where: { $0.text.lowercased() == word }) { return item.value }
        let value: Int
        if word.hasSuffix("%"), let share = Double(word.dropLast()), (0...100).contains(share) {
            value = part(share / 100, of: control)
        } else if let number = word.hasPrefix("0x") ? Int(word.dropFirst(2), radix: 16) : Int(word) {
            value = number
        } else {
            throw CommandFailure("\"\(text)\" is no value of \(control.name): \(range(of: control)).", status: ExitStatus.usage)
        }
        guard control.type == "bitmap" || control.minimum > control.maximum || (control.minimum...control.maximum).contains(value) else {
            throw CommandFailure("\(value) is out of range for \(control.name): \(range(of: control)).")
        }
        return value
    }

    /// A share of the range, on a step. The range is a driver's word: any three numbers.
    private static func part(_ share: Double, of control: CameraControl) -> Int {
        let (span, overflow) = control.maximum.subtractingReportingOverflow(control.minimum)
        guard !overflow, span > 0, span < 1 << 53 else { return control.minimum }
        let step = max(1, control.step)
        let steps = Int((Double(span) * share / Double(step)).rounded())
        // A step that leads out of the range is one too many.
        let (distance, tooFar) = steps.multipliedReportingOverflow(by: step)
        return control.minimum + (tooFar || distance > span ? span / step * step : distance)
    }

    /// `"it goes from -64 to 64 in steps of 2"`, `"it is one of 0 (disabled), 1 (50 Hz)"`, `"it is on or off"`.
    static func range(of control: CameraControl) -> String {
        if control.type == "boolean" { return "it is on or off" }
        if let menu = control.menu, !menu.isEmpty {
            return "it is one of " + menu.map { "\($0.value) (\($0.text))" }.joined(separator: ", ")
        }
        let steps = control.step > 1 ? " in steps of \(control.step)" : ""
        return "it goes from \(control.minimum) to \(control.maximum)\(steps)"
    }

    static func table(_ controls: [CameraControl]) -> TextTable {
        var table = TextTable("NAME", "VALUE", "DEFAULT", "MIN", "MAX", "STEP", "NOTES", rightAligned: [1, 2, 3, 4, 5], spared: [6, 5])
        for control in controls {
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
        return table
    }
}
