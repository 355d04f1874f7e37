class CampaignManager:
    def __init__(self, *a):
        pass
