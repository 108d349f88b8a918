// The list of what can be fuzzed: one line each.

enum FuzzTargets {
    static let all: [any FuzzTarget.Type] = [
        DescriptorFuzz.self,
        PayloadFuzz.self,
        PictureFuzz.self,
        USBIPFuzz.self,
        GadgetFuzz.self,
        JSONFuzz.self,
        ChannelFuzz.self,
        VarlinkFuzz.self, DefinitionFuzz.self,
        DaemonFuzz.self,
        ClientFuzz.self,
        RingFuzz.self,
        RecorderFuzz.self,
        StampFuzz.self,
        SignatureFuzz.self,
        PrivateKeyFuzz.self,
        SignersFuzz.self,
        RevocationFuzz.self,
        ManifestFuzz.self,
        ResponseFuzz.self, ESCLFuzz.self, IPPFuzz.self,
        ScannerFuzz.self,
    ]
}
