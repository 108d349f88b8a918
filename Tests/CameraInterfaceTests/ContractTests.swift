// The camera's text and its types say the same.

import CameraInterface
import Testing
import Wire

@Suite struct ContractTests {
    private let interface = CameraInterface.interface

    @Test func theTextIsThatOfTheName() {
        #expect(interface.name == CameraInterface.name)
        #expect(Set(interface.methods.map(\.name)) == Set(CameraInterface.Method.allCases.map(\.rawValue)))
    }

    private static let control = CameraControl(
        name: "gain", description: "Gain", type: "menu", minimum: 0, maximum: 1, step: 1, default: 0, value: 1,
        menu: [.init(value: 0, text: "off")], unit: "dB", selector: 4, problem: "silent", message: "m", remedy: "r")

    /// Every member that there can be: what the text does not know, or calls otherwise, shows.
    @Test func repliesAreWhatTheTextSays() throws {
        let full = Self.control
        let bare = CameraControl(name: "", description: "", type: "", minimum: 0, maximum: 0, step: 0, default: 0, value: 0)
        let replies: [(CameraInterface.Method, JSONValue)] = [
            (
                .formats,
                try JSONValue(encoding: CameraInterface.Formats(formats: [.init(format: "mjpeg", width: 1, height: 2, fps: [30, 7.5])]))
            ),
            (
                .controlNames,
                try JSONValue(
                    encoding: CameraInterface.ControlNames(
                        controls: [.init(name: "a", description: "b", type: "c", unit: "d")], button: true))
            ),
            (.getControls, try JSONValue(encoding: CameraInterface.Controls(controls: [full, bare]))),
            (.getControl, try JSONValue(encoding: CameraInterface.OneControl(control: full))),
            (.setControl, try JSONValue(encoding: CameraInterface.OneControl(control: bare))),
            (
                .resetControls,
                try JSONValue(encoding: CameraControlReset(controls: [full], failed: [.init(name: "a", reason: "b", message: "c")]))
            ),
        ]
        #expect(replies.count == CameraInterface.Method.allCases.count)
        for (method, reply) in replies {
            let output = try #require(interface.method(method.rawValue)).output
            #expect(interface.mismatch(of: reply, with: output) == nil, "\(method)")
            #expect(unknown(reply, .structure(output)) == [], "\(method)")
        }
        #expect(missing(try JSONValue(encoding: full), .named("Control")) == [])
    }

    @Test func eventsAreWhatTheTextSays() throws {
        let events: [(CameraEvent, String)] = [
            (.controlChanged(CameraControlChange(name: "a", now: 1, attribute: 2, entity: 3, selector: 4, value: [5])), "ControlChange"),
            (.controlChanged(CameraControlChange(name: nil, now: nil)), "ControlChange"),
            (.button(CameraButton(interface: 1, pressed: true)), "Button"),
        ]
        for (event, type) in events {
            let parameters = try event.parameters
            #expect(unknown(parameters, .named(type)) == [])
            #expect(CameraEvent(name: event.name, parameters: parameters) == event)
        }
        #expect(missing(try events[0].0.parameters, .named("ControlChange")) == [])
        #expect(missing(try events[2].0.parameters, .named("Button")) == [])
        // What a driver says may be anything.
        #expect(CameraEvent(name: "button", parameters: ["interface": "1"]) == nil)
        #expect(CameraEvent(name: "controlChanged", parameters: [1]) == nil && CameraEvent(name: nil, parameters: ["a": 1]) == nil)
    }

    /// Members of a value that the text does not know.
    private func unknown(_ value: JSONValue, _ type: VarlinkType) -> [String] {
        switch (type, value) {
        case (.named(let name), _): interface.type(name).map { unknown(value, $0) } ?? [name]
        case (.optional(let type), _): unknown(value, type)
        case (.array(let type), .array(let values)): values.flatMap { unknown($0, type) }
        case (.structure(let fields), .object(let members)):
            members.flatMap { name, value in fields.first { $0.name == name }.map { unknown(value, $0.type) } ?? [name] }
        default: []
        }
    }

    /// Members of the text that a value does not have.
    private func missing(_ value: JSONValue, _ type: VarlinkType) -> [String] {
        guard case .named(let name) = type, case .structure(let fields)? = interface.type(name) else { return ["no structure"] }
        return fields.map(\.name).filter { value[$0] == nil }
    }
}
