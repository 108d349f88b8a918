// What a device says it is: by its driver's kind and its interfaces' classes. Of video we know more.

import USB
import UVC
import Wire

extension StackJudge {
    static func deviceClass(_ facts: DeviceFacts) -> StackLayer {
        var layer = described(facts)
        if let fault = facts.fault(of: .deviceClass) {
            layer.health = .broken
            layer.why = "The device answers with garbage, or not at all: \(fault.message)"
            layer.remedy = fault.remedy ?? replug(facts)
            layer.facts["fault"] = .string(fault.code)
        } else if let noise = facts.diagnosis?.status.streams.first(where: isNoise) {
            layer.health = .broken
            let count = noise.frames.addingClamped(noise.lost)
            layer.why = "Hardly any frame is whole: \(noise.lost) of \(count) frames are missing or damaged."
            layer.remedy =
                layer.facts["formats"] == nil
                ? replug(facts)
                : "try another format or size   (userdriver inspect \(quoted(facts.id)) lists them); if none is whole, unplug it and plug it in again"
        }
        return layer
    }

    /// Hardly a frame is whole: the device's doing, not the way's.
    static func isNoise(_ stream: DeviceStatus.Stream) -> Bool { stream.lost > 30 && stream.lost / 10 > stream.frames }

    private static func replug(_ facts: DeviceFacts) -> String {
        "unplug it and plug it in again   (userdriver inspect \(quoted(facts.id)) shows its descriptors)"
    }

    private static func described(_ facts: DeviceFacts) -> StackLayer {
        guard !facts.descriptors.isEmpty else { return StackLayer(.deviceClass, .unknown, "", why: "Its descriptors are not known.") }
        let descriptors = DescriptorSet(parsing: facts.descriptors)
        guard let configuration = descriptors.configurations.first else {
            return StackLayer(
                .deviceClass, .broken, "no configuration", why: "The descriptors make no sense: there is no configuration in them.",
                remedy: replug(facts))
        }
        let own = interfaces(of: facts, configuration)
        let status = facts.diagnosis?.status
        let isVideo = own.contains { $0.interfaceClass == VideoClass.code } || status?.kind == "webcam"
        guard isVideo else { return other(own, kind: status?.kind) }
        let functions = VideoFunction.all(
            in: configuration, speed: facts.speed == .unknown ? descriptors.likelySpeed : facts.speed, allowingVendorClass: true)
        let numbers = Set(own.map(\.number))
        let withFormats = functions.filter { $0.streamingInterfaces.contains { !$0.formats.isEmpty } }
        if let function = withFormats.first(where: { numbers.contains($0.controlInterface) }) ?? withFormats.first {
            return video(function)
        }
        return StackLayer(
            .deviceClass, .broken, "no formats", why: "The descriptors make no sense: there is no video format in them.",
            remedy: replug(facts))
    }

    /// The interfaces of the function that is meant: those that its driver claims; all of the device, where no driver is known.
    private static func interfaces(of facts: DeviceFacts, _ configuration: ConfigurationDescriptor) -> [InterfaceDescriptor] {
        let claimed = facts.diagnosis?.interfaces ?? []
        let first = configuration.interfaces.filter { $0.alternateSetting == 0 }
        let own = first.filter { claimed.contains(Int($0.number)) }
        return own.isEmpty ? first : own
    }

    /// Whatever else it is: its driver's word for it, and the names of its classes.
    private static func other(_ interfaces: [InterfaceDescriptor], kind: String?) -> StackLayer {
        var names: [String] = []
        for interface in interfaces {
            let name = interface.code.name ?? "class \(interface.code)"
            if !names.contains(name) { names.append(name) }
        }
        var summary = names.joined(separator: ", ")
        if summary.isEmpty { summary = "no interface" }
        if let kind, !kind.isEmpty { summary = "\(kind): \(summary)" }
        return StackLayer(
            .deviceClass, .ok, summary,
            facts: ["class": names.first.map(JSONValue.string) ?? .null, "classes": .array(names.map(JSONValue.string))])
    }

    private static func video(_ function: VideoFunction) -> StackLayer {
        let formats = function.streamingInterfaces.flatMap(\.formats)
        var names: [String] = []
        for format in formats where !names.contains(format.name) { names.append(format.name) }
        let version = "\(function.uvcVersion >> 8).\(String(function.uvcVersion >> 4 & 0xf, radix: 16))"
        var summary = "USB Video \(version), \(names.joined(separator: " "))"
        if let largest = formats.flatMap(\.frames).max(by: { $0.width * $0.height < $1.width * $1.height }) {
            summary += ", up to \(largest.width)x\(largest.height)"
        }
        return StackLayer(
            .deviceClass, .ok, summary,
            facts: ["class": "video", "version": .string(version), "formats": .array(names.map(JSONValue.string))])
    }
}
