// Finds the video functions of a configuration, and puts each together from its control and streaming interfaces.

public import USB

extension VideoFunction {
    /// Every video function of a configuration. Pure, linear in the bytes, tolerant of what real devices get wrong.
    ///
    /// `speed` decides how many bytes an alternate setting moves (`DescriptorSet.likelySpeed` where nobody knows). With
    /// `allowingVendorClass` interfaces of class 0xff count too, if their descriptors have the shape of UVC: a quirk that a caller
    /// knows the device by.
    public static func all(
        in configuration: ConfigurationDescriptor, speed: USBSpeed, allowingVendorClass: Bool = false
    ) -> [VideoFunction] {
        var assembly = VideoFunctionAssembly(configuration, speed: speed, allowingVendorClass: allowingVendorClass)
        return assembly.functions()
    }
}

private struct VideoFunctionAssembly {
    private let configuration: ConfigurationDescriptor
    private let speed: USBSpeed
    private let allowingVendorClass: Bool
    /// The alternate settings of each interface, in the order of the bytes.
    private let settings: [UInt8: [InterfaceDescriptor]]
    /// Streaming interfaces that no function has taken yet.
    private var unclaimed: Set<UInt8> = []

    init(_ configuration: ConfigurationDescriptor, speed: USBSpeed, allowingVendorClass: Bool) {
        self.configuration = configuration
        self.speed = speed
        self.allowingVendorClass = allowingVendorClass
        settings = Dictionary(grouping: configuration.interfaces, by: \.number)
        unclaimed = Set(settings.filter { $0.value.first.map(isStreaming) ?? false }.keys)
    }

    mutating func functions() -> [VideoFunction] {
        let controls = settings.values.compactMap(\.first).filter(isControl).sorted { $0.offset < $1.offset }
        var parsers = controls.map { control in VideoControlParser(control) }
        var collections = parsers.map { parser in parser.streamingNumbers.filter { unclaimed.remove($0) != nil } }
        for place in controls.indices {
            // What no header lists belongs to the function of its association, or to the only one there is.
            let forgotten = unclaimed.sorted().filter { belongs($0, to: controls[place].number, alone: controls.count == 1) }
            for number in forgotten {
                parsers[place].anomalies.add(
                    .wrong, .missing, at: controls[place].offset,
                    "The control interface \(controls[place].number) does not list its streaming interface \(number).")
                unclaimed.remove(number)
            }
            collections[place] += forgotten
        }
        return controls.indices.map { assemble(controls[$0], parser: parsers[$0], streams: collections[$0]) }
    }

    private func assemble(_ control: InterfaceDescriptor, parser: VideoControlParser, streams: [UInt8]) -> VideoFunction {
        var function = parser.function
        var anomalies = parser.anomalies
        for number in parser.streamingNumbers where !streams.contains(number) {
            anomalies.add(
                .wrong, .missing, at: control.offset,
                "The control interface \(control.number) lists interface \(number), which is not a streaming interface of its own.")
        }
        function.nameIndex =
            configuration.associations.first { $0.contains(interface: control.number) && $0.nameIndex != 0 }?.nameIndex ?? control.nameIndex
        function.streamingInterfaces = streams.map { number in
            var parser = VideoStreamingParser(settings[number] ?? [], number: number, speed: speed, anomalies: anomalies)
            let stream = parser.parse()
            anomalies = parser.anomalies
            return stream
        }
        for stream in function.streamingInterfaces {
            if let entity = function.entity(stream.terminalLink), case .outputTerminal = entity.kind { continue }
            anomalies.add(
                .wrong, .missing, at: settings[stream.number]?.first?.offset ?? 0,
                "Streaming interface \(stream.number) is linked to terminal \(stream.terminalLink), which is not an output terminal.")
        }
        function.anomalies = anomalies.list.sorted { $0.offset < $1.offset }
        return function
    }

    private func belongs(_ streaming: UInt8, to control: UInt8, alone: Bool) -> Bool {
        guard let association = configuration.associations.first(where: { $0.contains(interface: streaming) }) else { return alone }
        return association.contains(interface: control)
    }

    private func isControl(_ interface: InterfaceDescriptor) -> Bool {
        isVideo(interface, subclass: VideoClass.controlSubclass) { $0.subtype == VideoControlSubtype.header && $0.count >= 12 }
    }

    private func isStreaming(_ interface: InterfaceDescriptor) -> Bool {
        isVideo(interface, subclass: VideoClass.streamingSubclass) {
            $0.subtype == VideoStreamingSubtype.inputHeader && $0.count >= 13
        }
    }

    private func isVideo(_ interface: InterfaceDescriptor, subclass: UInt8, header: (RawDescriptor) -> Bool) -> Bool {
        guard interface.interfaceSubclass == subclass else { return false }
        if interface.interfaceClass == VideoClass.code { return true }
        return allowingVendorClass && interface.interfaceClass == VideoClass.vendorCode
            && interface.classDescriptors.contains { $0.type == DescriptorType.classInterface && header($0) }
    }
}
