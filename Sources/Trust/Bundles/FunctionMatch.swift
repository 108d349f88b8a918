// Which functions of a device have drivers, and which: a pure judgement of descriptors and
// manifests.

package import USB

/// A function of a device, and the driver that suits it best.
package struct FunctionMatch: Sendable {
    package var function: USBFunction
    /// What the driver's rules look at: the device's numbers, and the function's interfaces alone.
    package var subject: MatchSubject
    package var bundle: DriverBundle

    package init(function: USBFunction, subject: MatchSubject, bundle: DriverBundle) {
        self.function = function
        self.subject = subject
        self.bundle = bundle
    }
}

extension DriverCatalog {
    /// The functions that drivers are for: those of the first configuration that has any. A rule
    /// that names no class is for the device as a whole: what its driver may claim, and nobody else
    /// suits better, is one function.
    package func functions(of device: USBDeviceInformation) -> [FunctionMatch] {
        for configuration in DescriptorSet(parsing: device.descriptors).configurations {
            let found = matches(device, configuration)
            if !found.isEmpty { return found }
        }
        return []
    }

    private func matches(_ device: USBDeviceInformation, _ configuration: ConfigurationDescriptor) -> [FunctionMatch] {
        let whole = MatchSubject(device, configuration: configuration)
        let owner = best(for: whole) { $0.isForDevice }
        var owned: [UInt8] = []
        var result: [FunctionMatch] = []
        for function in configuration.functions {
            let subject = MatchSubject(device, configuration: configuration, function: function)
            let own = best(for: subject) { !$0.isForDevice }
            if let owner, owner.suitability >= own?.suitability ?? 0, owner.bundle.manifest.mayClaim(anyOf: subject) {
                owned += function.interfaces
            } else if let own {
                result.append(FunctionMatch(function: function, subject: subject, bundle: own.bundle))
            }
        }
        // A driver that claims nothing has the device by its control pipe.
        if owner != nil, owned.isEmpty, result.isEmpty { owned = configuration.interfaceNumbers }
        if let owner, !owned.isEmpty {
            let function = USBFunction(configuration: configuration.value, interfaces: owned.sorted())
            result.append(
                FunctionMatch(
                    function: function, subject: MatchSubject(device, configuration: configuration, function: function),
                    bundle: owner.bundle))
        }
        return result.sorted { $0.function.firstInterface < $1.function.firstInterface }
    }

    /// The driver whose best rule of that kind says the most; of equals the one whose id comes
    /// first.
    private func best(
        for subject: MatchSubject, _ isMeant: (MatchRule) -> Bool
    ) -> (bundle: DriverBundle, suitability: Int)? {
        var best: (bundle: DriverBundle, suitability: Int)?
        for bundle in bundles.sorted(by: { $0.manifest.id < $1.manifest.id }) {
            let rules = bundle.manifest.match.filter { isMeant($0) && $0.matches(subject) }
            guard let suitability = rules.map(\.specificity).max(), suitability > best?.suitability ?? -1 else { continue }
            best = (bundle, suitability)
        }
        return best
    }
}

extension MatchRule {
    /// It names no interface's class: the whole device is meant.
    package var isForDevice: Bool { interfaceClass == nil && interfaceSubclass == nil && interfaceProtocol == nil }
}

extension DriverManifest {
    fileprivate func mayClaim(anyOf subject: MatchSubject) -> Bool { interfaceMask(for: subject) != 0 }
}

extension MatchSubject {
    /// What rules see of a configuration, or of one function in it.
    package init(_ device: USBDeviceInformation, configuration: ConfigurationDescriptor?, function: USBFunction? = nil) {
        let bytes = device.descriptors
        let interfaces = (configuration?.interfaces ?? []).filter { function?.contains(interface: $0.number) ?? true }
        self.init(
            vendor: device.vendorID, product: device.productID,
            release: bytes.count >= 14 ? UInt16(bytes[12]) | UInt16(bytes[13]) << 8 : 0,
            interfaces: interfaces.map {
                Interface(
                    number: $0.number, interfaceClass: $0.interfaceClass, interfaceSubclass: $0.interfaceSubclass,
                    interfaceProtocol: $0.interfaceProtocol)
            })
    }
}
