// What a driver gets of a device.

import Bundles

extension DriverManifest {
    func grant(for device: MatchSubject) -> DeviceGrant {
        DeviceGrant(interfaces: interfaceMask(for: device), streaming: streamingMask(for: device))
    }
}
